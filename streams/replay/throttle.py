"""Keeping a replay from running ahead of those who read it, where the broker would drop what they have not read."""

from collections.abc import Sequence

from streams.kafka.embedded import KEPT_BYTES
from streams.kafka.lag import GroupPositions
from wire.errors import ConnectionFailed

# Of what the embedded broker keeps per partition we use this share, because it drops whole batches at once.
_SHARE = 0.8
# What an event takes beyond its JSON and key when it travels in a batch of its own: 61 bytes of batch header, and
# some for the record's own (Kafka's record format, version 2).
_OVERHEAD_BYTES = 100
# A look asks Kafka a dozen questions, so while there is plenty of room it is seldom taken: what was allowed at the last
# one only shrinks, by what was sent since.
_LOOK_EVERY_S = 0.02
_SELDOM_S = 0.5


def fitting_events(event_bytes: int) -> int:
    """How many events of this size one partition of the embedded broker surely keeps.

    >>> fitting_events(250)
    11983
    """
    return int(KEPT_BYTES * _SHARE / (event_bytes + _OVERHEAD_BYTES))


class Throttle:
    """Stays at most `max_ahead` events of each partition ahead of the slowest group, by committed offsets.

    Without a `max_ahead` that is what the embedded broker keeps of events as large as the largest so far.
    A group that never committed counts as standing at the beginning: it is waited for.
    """

    def __init__(self, groups: Sequence[GroupPositions], topic: str, max_ahead: int | None):
        self._groups = groups
        self._topic = topic
        self._max_ahead = max_ahead
        self._largest_event = 1
        self._looked_s = float("-inf")
        self._left = 0
        self.slowest = ("", 0)  # the group furthest behind at the last look, and by how much

    def seen(self, event_bytes: int) -> None:
        """The largest event so far has this size, key included: of larger ones fewer fit than the last look allowed."""
        before = self._limit()
        self._largest_event = max(self._largest_event, event_bytes)
        self._left -= before - self._limit()

    def allowance(self, now_s: float, unacknowledged: int) -> int:
        """How many more events may be sent now; the count only shrinks until the next look at the groups."""
        every_s = _SELDOM_S if self._left > self._limit() // 2 else _LOOK_EVERY_S
        if self._left <= 0 or now_s - self._looked_s >= every_s:
            self._looked_s = now_s
            try:
                self._left = self._limit() - self._ahead() - unacknowledged
            except ConnectionFailed:  # away for now: whoever waits on says what for
                self._left, self.slowest = 0, ("Kafka", 0)
        return max(0, self._left)

    def sent(self, events: int) -> None:
        """So many were sent: in the worst case all of them to the fullest partition."""
        self._left -= events

    def _limit(self) -> int:
        return fitting_events(self._largest_event) if self._max_ahead is None else self._max_ahead

    def _ahead(self) -> int:
        behind = [(max(group.lag(self._topic).values(), default=0), group.group) for group in self._groups]
        events, group = max(behind)
        self.slowest = (group, events)
        return events


class NoThrottle:
    """A broker that keeps what it takes needs none."""

    slowest = ("", 0)

    def seen(self, event_bytes: int) -> None:
        """Nothing depends on it."""

    def allowance(self, now_s: float, unacknowledged: int) -> int:  # noqa: ARG002
        """As many as there are."""
        return 1 << 30

    def sent(self, events: int) -> None:
        """Nothing depends on it."""
