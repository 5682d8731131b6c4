"""The design matrix of a regression on streamed features: which of a million coordinates a moment has."""

from collections.abc import Sequence, Set

import numpy as np

from models.streamed.bins import Bins
from models.streamed.features import Seen
from models.streamed.ftrl import BITS
from wire.arrays import I64
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
        self.bins = bins
        self._same = same | _SAME_KEYS
        there = {*names, *_KEYS}
        alone = [(name,) for name in (*names, "category", *(["item"] if impressions else []))]
        pairs = [parts for parts in _TOGETHER if there.issuperset(parts)]
        self._columns = [*alone, *pairs]
        at = {name: n for n, name in enumerate((*names, *_KEYS))}
        self._first = np.array([at[parts[0]] for parts in self._columns])
        self._second = np.array([at[parts[1]] for parts in pairs])
        self._salt = mix(np.arange(1, len(self._columns) + 1, dtype=np.uint64))

    def of(self, seen: Seen) -> I64:
        """Coordinates (n, columns)."""
        of = seen.moments
        keys = np.array([of.user, of.item, of.category, seen.last_category], np.uint64)
        value = np.concatenate([self.bins.of(seen.features).astype(np.uint64), keys.T], axis=1)
        hashed = self._salt ^ value.take(self._first, axis=1)
        pairs = hashed[:, len(self._columns) - len(self._second) :]
        pairs[:] = mix(pairs) ^ value.take(self._second, axis=1)
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
