"""Event keys: which events of one user came, so that one that comes again is told from one that is new.

An event too late to be taken needs no key to be refused. So keys are kept within the allowed lateness of the user's
newest event, and no longer.
"""

from array import array
from itertools import islice
from typing import Self

from wire.moments import EventMs

MOST_SEEN = 20_000  # event keys of one user, 2 MB: of one who does more within the lateness, the pool knows the samples
_FEW = 64  # keys that are not worth a look
_LOW = 0xFFFF_FFFF  # what is kept of a time in ms: ages up to 49 days are exact, and an older event may seem younger


class EventKeys(dict[int, int]):
    """Event times by `wire.ids.sample_key`, in order of arrival. Who adds one prunes once there are `prune_at`.

    A key is added once, and leaves by `prune` alone: what was at rest is added to, as the dataflow saves all users that
    had events with every epoch, and most of their keys are old ones.

    >>> keys = EventKeys()
    >>> keys[7], keys[8] = 1_000, 5_000
    >>> keys.prune(EventMs(5_000), within_ms=3_000)
    >>> 7 in keys, 8 in keys
    (False, True)
    """

    __slots__ = ("_keys", "_times", "prune_at")

    def __init__(self) -> None:
        self._keys, self._times = array("Q"), array("I")  # of those that were at rest
        self.prune_at = _FEW

    def prune(self, newest: EventMs, within_ms: int) -> None:
        """Forget events more than `within_ms` before the user's newest, and all but the newest half of `MOST_SEEN`; at
        `prune_at`, that is at most every other event of a full set, so O(1) each."""
        kept = [row for row in self.items() if (newest - row[1]) & _LOW <= within_ms][-MOST_SEEN // 2 :]
        self.clear()
        self.update(kept)
        self._keys, self._times = array("Q"), array("I")
        self.prune_at = max(_FEW, 2 * len(kept))

    def state(self) -> tuple[bytes, bytes, int]:
        """What is at rest: keys as uint64, the low 32 bits of their times as uint32, and `prune_at`."""
        new = islice(reversed(self.items()), len(self) - len(self._keys))
        for key, timestamp in reversed([*new]):
            self._keys.append(key)
            self._times.append(timestamp & _LOW)
        return self._keys.tobytes(), self._times.tobytes(), self.prune_at

    @classmethod
    def restore(cls, keys: bytes, times: bytes, prune_at: int) -> Self:
        """What was at rest as `state` gave it."""
        seen = cls()
        seen._keys, seen._times, seen.prune_at = array("Q", keys), array("I", times), prune_at
        seen.update(zip(seen._keys.tolist(), seen._times.tolist(), strict=True))
        return seen
