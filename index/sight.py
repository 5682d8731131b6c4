"""What queries may see of the rows of a table, and picking rows by that as they are found, best first.

Rows that may not be seen are passed by on the way, so nothing has to be fetched in their place, however many they are:
the asker's own, which are the most similar of all, and what is newer than the question.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from index.compiled import compiled
from index.fetched import NO_ROW
from index.matches import Limits
from wire.arrays import F32, F64, I32, I64, U64, Bool

Seen = tuple[NDArray[np.void], int, int]  # rows of type `SEEN`, the number of the first, and how old one may be
Asker = tuple[np.uint64, np.int64]  # who asks, and what was before when
Order = tuple[I64, U64, int]  # rows, their hashes, by which they are ordered, and the place to begin at
Into = tuple[I64, F64]  # rows and scores, (k,)

_NO_SIGN, _NUMBER = np.int32(0x7FFFFFFF), np.int64(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Sight:
    """Of q queries with `limits`: row r is `rows[r - base]`, of type `SEEN`; what is `age_ms` older is not seen."""

    rows: NDArray[np.void]
    base: int
    age_ms: int
    limits: Limits

    def take(self, at: slice | I64) -> Self:
        """Of some of the queries."""
        return replace(self, limits=self.limits.take(at))

    def allowed(self, rows: I64) -> Bool:
        """Which rows, (q, n) or (1, n), each query may see; `NO_ROW` never.

        The rule is that of `_may_see`, for many rows at once: to ask each by itself makes exact searches slower.
        """
        each = self.rows.take(rows - self.base, mode="clip")
        since = self.limits.before_ms[:, None] - each["timestamp"]
        allowed: Bool = (since > 0) & (since < self.age_ms)
        allowed &= each["live"]
        allowed &= each["user"] != self.limits.user[:, None]
        allowed &= rows != NO_ROW
        return allowed

    def of_nodes(self, at: int, ranks: I64, held: tuple[I64, I32], into: Into) -> int:
        """The rows of the nodes of sorted `ranks` that query `at` may see, as far as there is room; returns how many
        there are. Of `held`, row and start, those of node i are `row[start[i] : start[i + 1]]`."""
        return _of_nodes(ranks, held, self._seen, self._asker(at), into)

    def around(self, at: int, point: np.uint64, orders: tuple[Order, Order], into: Into) -> int:
        """The rows whose hashes follow `point` most closely, of those that query `at` may see, as far as there is room;
        returns how many there are. Both `orders` begin with what follows the point."""
        return _around(point, orders, self._seen, self._asker(at), into)

    @property
    def _seen(self) -> Seen:
        return self.rows, self.base, self.age_ms

    def _asker(self, at: int) -> Asker:
        return self.limits.user[at], self.limits.before_ms[at]


@compiled
def _may_see(row: int, seen: Seen, asker: Asker) -> bool:
    rows, base, age_ms = seen
    user, before_ms = asker
    since = before_ms - rows[row - base].timestamp
    return rows[row - base].live and 0 < since < age_ms and rows[row - base].user != user  # type: ignore[no-any-return]


@compiled
def _rank(score: np.float32, number: np.int64) -> np.int64:
    """A score and a number (0 … 2^32 - 1) as one integer: it rises as the score falls, with the number behind it."""
    bits = np.float32(score).view(np.int32)
    rising = bits ^ _NO_SIGN if bits < 0 else bits
    return (~np.int64(rising) << 32) | number


@compiled
def _score_of(rank: np.int64) -> np.float32:
    rising = np.int32(~(rank >> 32))
    return np.int32(rising ^ _NO_SIGN if rising < 0 else rising).view(np.float32)


@compiled
def _of_nodes(ranks: I64, held: tuple[I64, I32], seen: Seen, asker: Asker, into: Into) -> int:
    found, (row, start) = 0, held
    for rank in ranks:
        node = rank & _NUMBER
        for at in range(start[node], start[node + 1]):
            if found == len(into[0]):
                return found
            if _may_see(row[at], seen, asker):
                into[0][found], into[1][found] = row[at], _score_of(rank)
                found += 1
    return found


@compiled
def _around(point: np.uint64, orders: tuple[Order, Order], seen: Seen, asker: Asker, into: Into) -> int:
    (old, old_hash, old_at), (new, new_hash, new_at) = orders
    found, old_left, new_left = 0, len(old), len(new)
    while old_left + new_left > 0 and found < len(into[0]):
        old_at, new_at = old_at if old_at < len(old) else 0, new_at if new_at < len(new) else 0
        if new_left == 0 or (old_left > 0 and old_hash[old_at] - point < new_hash[new_at] - point):
            row, behind = old[old_at], old_hash[old_at] - point
            old_at, old_left = old_at + 1, old_left - 1
        else:
            row, behind = new[new_at], new_hash[new_at] - point
            new_at, new_left = new_at + 1, new_left - 1
        if _may_see(row, seen, asker):
            into[0][found], into[1][found] = row, -np.float64(behind)
            found += 1
    return found


@partial(compiled, reorders=True)
def ranks(nodes: I64, vectors: F32, query: F32) -> I64:
    """The `nodes` (n,) by the inner product of `query` (d,) with each one's of the `vectors`: one by one, so that each
    is the same whatever stands beside it. Sorted, they come best first, and of equal ones the first."""
    found = np.empty(len(nodes), np.int64)
    for n in range(len(nodes)):
        vector, total = vectors[nodes[n]], np.float32(0)
        for at in range(len(query)):
            total += vector[at] * query[at]
        found[n] = _rank(total, nodes[n])
    return found
