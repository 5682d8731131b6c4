"""Which events of one user came: so that a scorer learns of each once, as the dataflow does."""

from typing import Self

from models.quorum import LEAD_MS
from models.streamed.rest import Rest
from operators.event_keys import EventKeys
from wire.moments import NO_EVENT, EventMs

DUPLICATE, LATE = "duplicate", "late"  # what is said of an event that can't be taken


class Came:
    """One user's events of the last hour of event time, which is how late one may come.

    >>> came = Came()
    >>> came.take(7, EventMs(10_000_000))
    >>> came.word(7, EventMs(10_000_000)), came.word(8, EventMs(0)), came.word(8, EventMs(9_000_000))
    ('duplicate', 'late', '')
    """

    __slots__ = ("_keys", "_newest_ms")

    def __init__(self) -> None:
        self._keys = EventKeys()
        self._newest_ms = NO_EVENT

    def word(self, sample: int, timestamp: EventMs) -> str:
        """Why an event can't be taken: it came before, or lies so far back that nobody knows; "" where it can."""
        if timestamp < self._newest_ms - LEAD_MS:
            return LATE
        return DUPLICATE if sample in self._keys else ""

    def take(self, sample: int, timestamp: EventMs) -> None:
        """An event comes that can be taken."""
        keys = self._keys
        keys[sample] = timestamp
        self._newest_ms = max(self._newest_ms, timestamp)
        if len(keys) >= keys.prune_at:
            self._prune()

    def state(self) -> Rest:
        """All at rest; keys that are needed no more are gone."""
        self._prune()
        return self._newest_ms, self._keys.state()

    @classmethod
    def restore(cls, state: Rest) -> Self:
        """What was at rest in `state`."""
        came = cls()
        came._newest_ms, keys = state
        came._keys = EventKeys.restore(*keys)
        came._prune()
        return came

    def _prune(self) -> None:
        self._keys.prune(self._newest_ms, LEAD_MS)
