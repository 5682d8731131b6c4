"""What a search finds, and how the findings of several pool shards become one.

Results are stratified by label: up to k of each. Scores say how good a row is within one query and label, and
mean the same in every shard: the similarity for a search, a hash distance for a random draw.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from index.fetched import NO_ROW
from wire.arrays import F64, I64, U64
from wire.candidates import Candidates
from wire.columns import Columns

LABELS = (0, 1)


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
