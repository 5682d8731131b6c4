"""What a search finds, and how the findings of several pool shards become one.

Results are stratified by label: up to k of each. Scores say how good a row is within one query and label, and
mean the same in every shard: the similarity for a search, a hash distance for a random draw.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from index.fetched import NO_ROW, Scores
from models.arrays import F64, I64, U64
from models.candidates import Candidates
from models.columns import Columns

LABELS = (0, 1)
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Limits(Columns):
    """What q queries may see: no sample of `user` itself, none at or after `before_ms` (event time)."""

    user: U64  # (q,)
    before_ms: I64  # (q,)


@dataclass(frozen=True, slots=True)
class Matches:
    """Rows of the pool for q queries, per label best first, padded with `NO_ROW` and score -inf.

    Rows are the pool's own numbers: turn them into `Candidates` before the next upsert.
    """

    row: I64  # (q, 2, k)
    score: F64  # (q, 2, k)
    before_ms: I64  # (q,)

    def __len__(self) -> int:
        return len(self.row)

    def found(self) -> I64:
        """How many rows each query found per label, shape (q, 2)."""
        counts: I64 = (self.row != NO_ROW).sum(axis=2)
        return counts


@dataclass(frozen=True, slots=True)
class Scored:
    """One query's candidates with their scores, so that shards can be merged."""

    candidates: Candidates
    score: F64  # (n,)


def best_of(parts: Sequence[Scored], k_per_label: int) -> Scored:
    """The best `k_per_label` of each label from all shards' findings for one query, label 0 first."""
    score = np.concatenate([p.score for p in parts])
    joined = Candidates.concat([p.candidates for p in parts])
    order = np.argsort(-score, kind="stable")
    rows = np.concatenate([order[joined.label[order] == which][:k_per_label] for which in LABELS])
    return Scored(joined.take(rows), score[rows])


def highest(score: Scores, k: int) -> tuple[I64, Scores]:
    """Columns of the k highest scores per row of (q, n), and those scores, in no order; all n when n <= k.

    >>> columns, scores = highest(np.array([[.1, .4, .3, .2]]), 2)
    >>> sorted(columns[0].tolist()), sorted(scores[0].tolist())
    ([1, 2], [0.3, 0.4])
    """
    n = score.shape[1]
    if n <= k:
        return np.tile(np.arange(n), (len(score), 1)), score
    columns: I64 = np.argpartition(score, n - k, axis=1)[:, n - k :]
    return columns, pick(score, columns)


def top_k(score: Scores, k: int) -> tuple[I64, Scores]:
    """The same, best first; equal scores in no order."""
    columns, best = highest(score, k)
    order = np.argsort(np.negative(best), axis=1)  # not a stable sort: that takes four times as long for 800
    return pick(columns, order), pick(best, order)


def pick(table: NDArray[T], columns: I64) -> NDArray[T]:
    """The `columns` (q, m) of each row of a table (q, n): `np.take_along_axis` in a third of its time."""
    picked: NDArray[T] = table.ravel().take(columns + table.shape[1] * np.arange(len(table))[:, None])
    return picked
