"""Random draws that do not depend on how the pool is sharded or in which order samples came.

Every sample has a hash of its key; a query draws a point, a hash of who asks, when and the seed. Its
random samples are those whose hashes follow the point most closely, around the circle of 64-bit numbers. For
one query that is a uniform draw without replacement, and shards merge like any other search. The price: two
queries whose points lie close together share samples.
"""

from dataclasses import dataclass

import numpy as np

from index.fetched import Fetched
from wire.arrays import F64, I64, U64, Bool
from wire.ids import mix

ROOM = 1.5  # a third of an order's rows may be too new for a query, or dead, before all have to be looked at


def points(user: U64, before_ms: I64, seed: int) -> U64:
    """One point per query, shape (q,)."""
    return mix(mix(user ^ mix(np.full(1, seed, np.uint64))) ^ before_ms.view(np.uint64))


def closeness(point: U64, hashed: U64) -> F64:
    """The score of hashes for points, by broadcasting: minus how far the hash follows the point."""
    return -(hashed - point).astype(np.float64)


class HashOrder:
    """Rows sorted by hash, for draws that do not look at all of them."""

    def __init__(self, rows: I64, sample: U64) -> None:
        hashed = mix(sample)
        order = np.argsort(hashed)
        self.rows = rows[order]
        self._hashed = hashed[order]

    def add(self, rows: I64, sample: U64) -> None:
        """Take more rows in."""
        more = HashOrder(rows, sample)
        at = np.searchsorted(self._hashed, more._hashed)
        self.rows, self._hashed = np.insert(self.rows, at, more.rows), np.insert(self._hashed, at, more._hashed)

    def keep(self, kept: Bool) -> None:
        """Let go of all rows but those that are `kept`, (rows,)."""
        self.rows, self._hashed = self.rows[kept], self._hashed[kept]

    def fetch(self, point: U64, k: int) -> Fetched:
        """The k rows that follow each point most closely."""
        n = len(self.rows)
        want = min(k, n)
        places = (np.searchsorted(self._hashed, point)[:, None] + np.arange(want)) % max(n, 1)
        score = closeness(point[:, None], self._hashed[places])
        bound = score[:, -1].copy() if want < n else np.full(len(point), -np.inf)
        return Fetched(self.rows[places], score, bound)


@dataclass(frozen=True, slots=True)
class Share:
    """A hash order that is one of several: of k random rows about `share` · k are from it, and few more are fetched.

    How many are is binomial, with a standard deviation below √(share · k): four of these above the expectation, and
    as many rows for small k, are too few less than once in 30,000 draws.
    """

    order: HashOrder
    share: float

    @property
    def rows(self) -> I64:
        """All of its rows."""
        return self.order.rows

    def fetch(self, point: U64, k: int) -> Fetched:
        """The rows that follow each point most closely: its part of k, and some more."""
        expected = ROOM * self.share * k
        return self.order.fetch(point, min(k, int(expected + 4 * expected**0.5 + 4)))
