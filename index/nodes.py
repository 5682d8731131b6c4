"""Distinct vectors by number, and the rows that have each: what is searched is nodes, what is found is rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from index.fetched import Fetched, Scores, nothing
from models.runs import places
from wire.arrays import I64


@dataclass(frozen=True, slots=True)
class Nodes:
    """Rows grouped by node: those of node i are `row[start[i] : start[i + 1]]`, newest first."""

    row: I64
    start: I64  # (nodes + 1,)

    @classmethod
    def of(cls, row: I64, node: I64, nodes: int) -> Self:
        """From rows, oldest first, and the node of each."""
        newest_first = node[::-1]
        grouped = row[::-1][np.argsort(newest_first, kind="stable")]
        return cls(grouped, np.concatenate([[0], np.cumsum(np.bincount(newest_first, minlength=nodes))]))

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """The nodes of all parts, numbered on."""
        if len(parts) == 1:
            return parts[0]
        offsets = np.cumsum([0, *(len(part.row) for part in parts)])
        starts = [part.start[:-1] + offset for part, offset in zip(parts, offsets[:-1], strict=True)]
        return cls(np.concatenate([part.row for part in parts]), np.concatenate([*starts, offsets[-1:]]))

    def __len__(self) -> int:
        return len(self.start) - 1

    def expand(self, nodes: I64, score: Scores, k: int) -> Fetched:
        """The rows of each query's `nodes` (q, m), which come best first with their scores: at most k per query."""
        start, count = self.start[nodes], self.start[nodes + 1] - self.start[nodes]
        total = np.cumsum(count, axis=1)
        take = np.clip(k - (total - count), 0, count).ravel()
        taken = np.minimum(total[:, -1], k)
        query = np.repeat(np.arange(len(nodes)), taken)
        out = nothing(len(nodes), k, -np.inf)
        column = places(taken)
        out.row[query, column] = self.row[np.repeat(start.ravel(), take) + places(take)]
        out.score[query, column] = np.repeat(score.ravel(), take)
        left_out = (total[:, -1] > k) | (nodes.shape[1] < len(self))
        out.bound[left_out] = out.score[left_out, taken[left_out] - 1]
        return out
