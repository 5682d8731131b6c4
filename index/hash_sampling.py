"""Random draws that do not depend on how the pool is sharded or in which order samples came.

Every sample has a hash of its key; a query draws a point, a hash of who asks, when and the seed. Its
random samples are those whose hashes follow the point most closely, around the circle of 64-bit numbers. For
one query that is a uniform draw without replacement, and shards merge like any other search. The price: two
queries whose points lie close together share samples.
"""

from collections.abc import Callable

import numpy as np

from index.compiled import compiled
from index.fetched import NO_ROW, Part
from index.sight import Order, Sight
from wire.arrays import F64, I64, U64, Bool
from wire.ids import mix

SETTLE_SHARE, SETTLE_LEAST = 32, 1000  # rows that came since: 1/32 of the others, and never less than so many


def points(user: U64, before_ms: I64, seed: int) -> U64:
    """One point per query, shape (q,)."""
    return mix(mix(user ^ mix(np.full(1, seed, np.uint64))) ^ before_ms.view(np.uint64))


def closeness(point: U64, hashed: U64) -> F64:
    """The score of hashes for points, by broadcasting: minus how far the hash follows the point."""
    return -(hashed - point).astype(np.float64)


class HashOrder:
    """Rows sorted by hash, for draws that do not look at all of them."""

    def __init__(self, rows: I64, sample: U64) -> None:
        self.rows, self._hashed = _sorted(rows, mix(sample))

    @property
    def nbytes(self) -> int:
        """Bytes of rows and hashes."""
        return self.rows.nbytes + self._hashed.nbytes

    def add(self, rows: I64, sample: U64) -> None:
        """Take rows in."""
        self.merge(HashOrder(rows, sample))

    def merge(self, more: "HashOrder") -> None:
        """Take another order's rows in."""
        self.rows, self._hashed = _merged((self.rows, self._hashed), (more.rows, more._hashed))

    def keep(self, kept: Bool) -> None:
        """Let go of all rows but those that are `kept`, (rows,)."""
        self.rows, self._hashed = self.rows[kept], self._hashed[kept]

    def around(self, point: U64) -> list[Order]:
        """It from each point on."""
        return [(self.rows, self._hashed, at) for at in np.searchsorted(self._hashed, point).tolist()]


class Drawn:
    """All rows of one label, some of them dead: most in one order, and few that came since in another."""

    def __init__(self) -> None:
        self._old, self._new = _none(), _none()

    @property
    def rows(self) -> I64:
        """All of them."""
        return np.concatenate([self._old.rows, self._new.rows])

    @property
    def nbytes(self) -> int:
        """Bytes of both orders."""
        return self._old.nbytes + self._new.nbytes

    @property
    def crowded(self) -> bool:
        """Whether it is time to `settle`: so each row moves some `SETTLE_SHARE` times until there are twice as many."""
        return len(self._new.rows) > max(SETTLE_LEAST, len(self._old.rows) // SETTLE_SHARE)

    def add(self, rows: I64, sample: U64) -> None:
        """Take rows in that came."""
        self._new.add(rows, sample)

    def settle(self, live: Callable[[I64], Bool]) -> None:
        """Put all into one order, without those that are not `live`."""
        self._old.merge(self._new)
        self._old.keep(live(self._old.rows))
        self._new = _none()

    def draw(self, point: U64, sight: Sight, k: int) -> Part:
        """The k rows that follow each point most closely of those that its query may see, the closest first, and their
        scores; padded with `NO_ROW`, -inf."""
        row, score = np.full((len(point), k), NO_ROW), np.full((len(point), k), -np.inf)
        both = zip(point, self._old.around(point), self._new.around(point), strict=True)
        for at, (each, old, new) in enumerate(both):
            sight.around(at, each, (old, new), (row[at], score[at]))
        return row, score


def _none() -> HashOrder:
    return HashOrder(np.zeros(0, np.int64), np.zeros(0, np.uint64))


def _sorted(rows: I64, hashed: U64) -> tuple[I64, U64]:
    order = np.argsort(hashed)
    return rows[order], hashed[order]


@compiled
def _merged(one: tuple[I64, U64], other: tuple[I64, U64]) -> tuple[I64, U64]:
    """Rows and their hashes, by these: both are sorted."""
    n = len(one[0]) + len(other[0])
    rows, hashed = np.empty(n, np.int64), np.empty(n, np.uint64)
    at = 0
    for to in range(n):
        beside = to - at
        if at < len(one[0]) and (beside == len(other[0]) or one[1][at] < other[1][beside]):
            rows[to], hashed[to] = one[0][at], one[1][at]
            at += 1
        else:
            rows[to], hashed[to] = other[0][beside], other[1][beside]
    return rows, hashed
