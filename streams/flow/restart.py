"""When a process must begin anew in good order: what Bytewax takes at its start for ever has changed.

Bytewax shares partitions out once, and it ends epochs, wakes sources and keeps its timers by the wall clock: after a
step back of two minutes it would take no snapshot for two minutes. Both are mended by ending all input, which takes a
snapshot, and starting again from it.
"""

from typing import Protocol

from streams.bus import Partition
from wire.clock import Clock

# A wall clock that falls behind the monotonic one by so much within `_LOOK_MS` has been set back, or stands still. One
# that is slewed loses .015 s in that time.
_LOST_MS = 3_000
_LOOK_MS = 30_000


class Watch(Protocol):
    """Looks at topics now and then."""

    def added(self) -> list[Partition]:
        """Partitions that were not there at the start; raises `DeliveryError` for a topic made anew."""


class Restart:
    """Says when, and then for good; `why` says what for."""

    def __init__(self, watch: Watch, clock: Clock) -> None:
        self.why = ""
        self._watch = watch
        self._clock = clock
        self._since_ms, self._since_wall_ms = clock.steady_ms(), clock.wall_ms()

    def due(self) -> bool:
        """Whether this process shall end now, to begin anew; raises `DeliveryError` for a topic made anew."""
        if not self.why:
            self.why = self._clock_trouble() or self._new_partitions()
        return bool(self.why)

    def _new_partitions(self) -> str:
        added = self._watch.added()
        return ", ".join(f"{topic}[{number}]" for topic, number in added) + " new" if added else ""

    def _clock_trouble(self) -> str:
        passed_ms = self._clock.steady_ms() - self._since_ms
        shown_ms = self._clock.wall_ms() - self._since_wall_ms
        if passed_ms - shown_ms > _LOST_MS:
            return f"the wall clock lost {(passed_ms - shown_ms) / 1000:.0f} s"
        if shown_ms > passed_ms + _LOST_MS or passed_ms > _LOOK_MS:
            self._since_ms, self._since_wall_ms = self._clock.steady_ms(), self._clock.wall_ms()
        return ""
