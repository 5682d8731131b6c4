"""What a search finds in the pool, by its rows.

Results are stratified by label: up to k of each. Scores say how good a row is within one query and label, and
mean the same in every shard: the similarity for a search, a hash distance for a random draw.
"""

from dataclasses import dataclass

from index.fetched import NO_ROW
from wire.arrays import F64, I64, U64
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

    Rows are the pool's own numbers: have them told (`index.scored`) before the next upsert.
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
