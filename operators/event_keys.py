"""Event keys: which events of one user came, so that one that comes again is told from one that is new.

An event too late to be taken needs no key to be refused. So keys are kept within the allowed lateness of the user's
newest event, and no longer.
"""

from collections.abc import Mapping
from types import MappingProxyType

from wire.moments import EventMs

MOST_SEEN = 20_000  # event keys of one user, 2 MB: of one who does more within the lateness, the pool knows the samples
_FEW = 64  # keys that are not worth a look
_NONE: Mapping[int, EventMs] = MappingProxyType({})


class EventKeys(dict[int, EventMs]):
    """Event times by `wire.ids.sample_key`, in order of arrival. Who adds one prunes once there are `prune_at`.

    >>> keys = EventKeys({7: EventMs(1_000), 8: EventMs(5_000)})
    >>> keys.prune(EventMs(2_000))
    >>> 7 in keys, 8 in keys
    (False, True)
    """

    __slots__ = ("prune_at",)

    def __init__(self, keys: Mapping[int, EventMs] = _NONE, prune_at: int = _FEW) -> None:
        super().__init__(keys)
        self.prune_at = prune_at

    def prune(self, oldest: EventMs) -> None:
        """Forget events before `oldest`, and all but the newest half of `MOST_SEEN`; at `prune_at`, that is at most
        every other event of a full set, so O(1) each."""
        kept = [(key, timestamp) for key, timestamp in self.items() if timestamp >= oldest][-MOST_SEEN // 2 :]
        self.clear()
        self.update(kept)
        self.prune_at = max(_FEW, 2 * len(kept))
