"""What one source of rows (a graph, a table of hashes) gives a search before limits and merging."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wire.arrays import I64

NO_ROW = -1
Scores = NDArray[np.floating[Any]]
Part = tuple[I64, Scores]  # rows and their scores for q queries, (q, n)


@dataclass(frozen=True, slots=True)
class Fetched:
    """Rows for q queries, best first; no row that was left out scores above `bound`."""

    row: I64  # (q, k), padded with NO_ROW
    score: Scores  # (q, k), padded with -inf
    bound: Scores  # (q,); -inf when nothing was left out


@dataclass(frozen=True, slots=True)
class Unindexed:
    """Rows that have to be looked at one by one."""

    rows: I64

    def fetch(self, queries: NDArray[Any], k: int) -> Fetched:  # noqa: ARG002
        """None of them, and any may be among the best."""
        return nothing(len(queries), 0, np.inf)


def nothing(queries: int, k: int, bound: float) -> Fetched:
    """No rows at all; with `bound` = inf the searcher has to look itself."""
    return Fetched(
        np.full((queries, k), NO_ROW, np.int64),
        np.full((queries, k), -np.inf, np.float32),
        np.full(queries, bound, np.float32),
    )
