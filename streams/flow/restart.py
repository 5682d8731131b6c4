"""When a process must begin anew in good order: what Bytewax takes at its start for ever has changed.

Bytewax shares partitions out once, and it ends epochs, wakes sources and keeps its timers by the wall clock: after a
step back of two minutes it would take no snapshot for two minutes. Both are mended by ending all input, which takes a
snapshot, and starting again from it.
"""

import time
from collections.abc import Callable

from streams.kafka.topic_watch import TopicWatch

# A wall clock that falls behind the monotonic one by so much within `_LOOK_S` has been set back, or stands still. One
# that is slewed loses .015 s in that time.
_LOST_S = 3.0
_LOOK_S = 30.0


class Restart:
    """Says when, and then for good; `why` says what for."""

    def __init__(
        self,
        watch: TopicWatch,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.why = ""
        self._watch = watch
        self._clock, self._wall = clock, wall
        self._since_s, self._since_wall_s = clock(), wall()

    def due(self) -> bool:
        """Whether this process shall end now, to begin anew; raises `DeliveryError` for a topic made anew."""
        if not self.why:
            self.why = self._clock_trouble() or self._new_partitions()
        return bool(self.why)

    def _new_partitions(self) -> str:
        added = self._watch.added()
        return ", ".join(f"{topic}[{number}]" for topic, number in added) + " new" if added else ""

    def _clock_trouble(self) -> str:
        passed_s, shown_s = self._clock() - self._since_s, self._wall() - self._since_wall_s
        if passed_s - shown_s > _LOST_S:
            return f"the wall clock lost {passed_s - shown_s:.0f} s"
        if shown_s > passed_s + _LOST_S or passed_s > _LOOK_S:
            self._since_s, self._since_wall_s = self._clock(), self._wall()
        return ""
