"""The design matrix of a regression on streamed features: which of a million coordinates a moment has."""

from collections.abc import Sequence, Set

import numpy as np

from models.streamed.bins import Bins
from models.streamed.features import Seen
from models.streamed.ftrl import BITS
from wire.arrays import I64, U64
from wire.ids import mix

_KEYS = ("user", "item", "category", "last_category")
# What says more together than apart: how popular by how old, rising or fading, whose taste is what.
_TOGETHER = (
    ("item_share_1h", "item_age"),
    ("item_share_10m", "item_share_6h"),
    ("item_share_1h", "item_share_1d"),
    ("item_last", "item_age"),
    ("item_share_1h", "item_rate_1d"),
    ("times", "since"),
    ("times", "item_share_60d"),
    ("near_fading_1d", "item_share_1h"),
    ("user", "category"),
    ("last_category", "category"),
    ("hour", "category"),
)
_SAME_KEYS = {"user", "last_category"}


class Design:
    """Columns of parts, features (`names`, cut by `bins`) and keys.

    A column has one coordinate for each combination of its parts' values. An item has one of its own where label 0 says
    that it was shown; where negatives are drawn it would only learn what the draw does to it.
    """

    def __init__(self, names: Sequence[str], bins: Bins, *, same: Set[str], impressions: bool) -> None:
        self._names, self.bins = tuple(names), bins
        self._same = same | _SAME_KEYS
        there = {*names, *_KEYS}
        alone = [(name,) for name in (*names, "category", *(["item"] if impressions else []))]
        self._columns = [*alone, *(parts for parts in _TOGETHER if there.issuperset(parts))]

    def of(self, seen: Seen) -> I64:
        """Coordinates (n, columns)."""
        value: dict[str, U64] = dict(zip(self._names, self.bins.of(seen.features).T.astype(np.uint64), strict=True))
        of = seen.moments
        keys = of.user, *(key.astype(np.uint64) for key in (of.item, of.category, seen.last_category))
        value |= dict(zip(_KEYS, keys, strict=True))
        hashed = np.empty((len(seen.features), len(self._columns)), np.uint64)
        for n, parts in enumerate(self._columns):
            hashed[:, n] = n + 1
            for part in parts:
                hashed[:, n] = mix(hashed[:, n]) ^ value[part]
        return (mix(hashed) >> np.uint64(64 - BITS)).astype(np.int64)

    def knowing(self, parts: Set[str]) -> I64:
        """Which columns are made of these features and keys alone."""
        return np.flatnonzero([parts >= set(column) for column in self._columns])

    @property
    def ranking(self) -> I64:
        """Which columns are not the same for all items that a user meets at one moment."""
        return np.flatnonzero([not set(column) <= self._same for column in self._columns])

    @property
    def parts(self) -> frozenset[str]:
        """All features and keys."""
        return frozenset(part for column in self._columns for part in column)
