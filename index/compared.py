"""Rows of one label that are in no index, as one source: a query is compared with each of their distinct vectors.

First by codes, which tell all that may be among the best; these are then compared by their vectors. So what is found
is what comparing all vectors finds; and it depends on the query and the rows alone, not on what else is asked with it.
"""

from collections.abc import Callable

import numpy as np

from index.codes import Codes, Products
from index.fetched import Fetched, nothing
from index.highest import reached_by
from index.nodes import Nodes
from wire.arrays import F32, I64

# The asker's own samples are the most similar of all, and may not be seen: so many more rows are fetched, in parts of
# those asked for, lest fewer are left than asked for and all have to be looked at after all.
SLACK = 4
ROOM = 8  # as many rows may come, in parts of the nodes, and so many besides, before all are grouped anew
LEAST_ROOM = 1024
MARGIN = 1.2  # so many nodes are looked for at first, in parts of those that have the rows wanted on the average

Vectors = Callable[[I64], F32]  # of rows (n,): (n, d)


class Compared:
    """Rows by their distinct vectors, and those that came since, each a node of its own; at least one."""

    def __init__(self, nodes: Nodes, vectors: Vectors) -> None:
        room = len(nodes) // ROOM + LEAST_ROOM
        self._vectors = vectors
        self._row = np.concatenate([nodes.row, np.zeros(room, np.int64)])
        self._start = np.concatenate([nodes.start, len(nodes.row) + 1 + np.arange(room)])
        self._oldest = np.concatenate([nodes.oldest, np.zeros(room, np.int64)])  # the row whose vector is the node's
        self._codes = Codes(vectors(nodes.oldest), room)

    @property
    def rows(self) -> I64:
        """All of them."""
        return self._nodes.row

    @property
    def room(self) -> int:
        """How many rows can be added."""
        return self._codes.room

    @property
    def nbytes(self) -> int:
        """Bytes of nodes and codes, and of the room for more."""
        return self._row.nbytes + self._start.nbytes + self._oldest.nbytes + self._codes.nbytes

    def add(self, rows: I64) -> None:
        """Rows that came, at most as many as there is room for."""
        at = len(self._codes)
        self._row[self._start[at] :][: len(rows)] = rows
        self._oldest[at : at + len(rows)] = rows
        self._codes.add(self._vectors(rows))

    def fetch(self, queries: F32, k: int) -> Fetched:
        """The k best rows for each query (q, d), and `1 / SLACK` more."""
        want = k + k // SLACK
        out = nothing(len(queries), want, -np.inf)
        nodes = self._nodes
        most = min(want, len(nodes))
        likely = min(most, 1 + int(MARGIN * want * len(nodes) / len(nodes.row)))
        for at, (query, coded) in enumerate(zip(queries, self._codes.products(queries), strict=True)):
            for few in (likely, most):
                if nodes.expand(*self._best(query, coded, few), out, at):
                    break
        return out

    @property
    def _nodes(self) -> Nodes:
        n = len(self._codes)
        return Nodes(self._row[: self._start[n]], self._start[: n + 1])

    def _best(self, query: F32, coded: Products, k: int) -> tuple[I64, F32]:
        """The k best nodes for a query and their scores, best first.

        At least k that are good by their codes are compared first. The k-th best of these is no better than the k-th
        best of all, so of the others only those are compared that may be as good.
        """
        first, least = reached_by(coded.product, k)
        score = self._compare(query, first)
        low = coded.least(np.partition(score, len(score) - k)[len(score) - k])
        if low < least:
            rest = np.flatnonzero((coded.product >= low) & (coded.product < least))
            first, score = np.concatenate([first, rest]), np.concatenate([score, self._compare(query, rest)])
        best = np.argsort(-score)[:k]
        return first[best], score[best]

    def _compare(self, query: F32, nodes: I64) -> F32:
        """Scores of nodes: one by one, so that each is the same whatever stands beside it."""
        score: F32 = np.vecdot(self._vectors(self._oldest[nodes]), query)
        return score
