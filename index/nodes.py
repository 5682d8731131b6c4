"""Distinct vectors by number, and the rows that have each: what is searched is nodes, what is found is rows."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from index.fetched import Fetched, Scores
from wire.arrays import I64, Bool


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
    def each(cls, row: I64) -> Self:
        """Each row is a node."""
        return cls(row, np.arange(len(row) + 1))

    def where(self, kept: Bool) -> Self:
        """Without the rows (rows,) that are not kept, and without nodes that have no other."""
        node = np.repeat(np.arange(len(self)), np.diff(self.start))[kept]
        first = np.flatnonzero(np.diff(node, prepend=-1))
        return type(self)(self.row[kept], np.append(first, len(node)))

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def oldest(self) -> I64:
        """The oldest row of each node."""
        return self.row[self.start[1:] - 1]

    def expand(self, nodes: I64, score: Scores, out: Fetched, at: int) -> None:
        """The rows of a query's `nodes` (m,), which come best first with their scores, into row `at` of `out` as far
        as they fit."""
        first = self.start.take(nodes)
        count = self.start[1:].take(nodes) - first
        after = count.cumsum()
        n = min(out.row.shape[1], int(after[-1]))
        place = (first + count - after).repeat(count)[:n] + np.arange(n)
        self.row.take(place, out=out.row[at, :n])
        out.score[at, :n] = score.repeat(count)[:n]
        if after[-1] > n or len(nodes) < len(self):
            out.bound[at] = out.score[at, n - 1]


NO_NODES = Nodes.each(np.zeros(0, np.int64))
