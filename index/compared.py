"""Rows of one label that are in no index, as one source: a query is compared with each of their distinct vectors.

First all at once, by codes or by float32, which tells all that may be among the best; these are then compared one by
one. So what is found is what comparing all vectors finds; and it depends on the query and the rows alone, not on what
else is asked with it.
"""

from collections.abc import Callable

import numpy as np

from index.codes import FAST_BYTES, Codes, Products
from index.column import Column
from index.fetched import Fetched, nothing
from index.floats import Floats
from index.highest import reached_by
from index.nodes import Nodes
from wire.arrays import F32, I64

# The asker's own samples are the most similar of all, and may not be seen: so many more rows are fetched, in parts of
# those asked for, lest fewer are left than asked for and all have to be looked at after all.
SLACK = 4
MARGIN = 1.2  # so many nodes are looked for at first, in parts of those that have the rows wanted on the average

Vectors = Callable[[I64], F32]  # of rows (n,): (n, d)


class Compared:
    """Rows by their distinct vectors, of width `dim`, in runs, and those that came since, each a node of its own.

    A node's rows are all in one run, and runs are in the order of their rows.
    """

    def __init__(self, vectors: Vectors, dim: int) -> None:
        self._vectors = vectors
        self._row, self._start = Column(np.int64), Column(np.int64)
        self._start.splice(0, 0, np.zeros(1, np.int64))
        self._oldest = Column(np.int64)  # the row whose vector is the node's
        self._codes: Codes | Floats = Codes(dim) if FAST_BYTES else Floats(dim)

    @property
    def rows(self) -> I64:
        """All of them."""
        return self._row.values

    @property
    def nbytes(self) -> int:
        """Bytes of nodes and codes, and of the room for more."""
        return self._row.nbytes + self._start.nbytes + self._oldest.nbytes + self._codes.nbytes

    def add(self, rows: I64) -> None:
        """Rows that came."""
        end = len(self._oldest.values)
        self._put(end, end, Nodes.each(rows))

    def replace(self, start: int, stop: int, nodes: Nodes) -> None:
        """Let `nodes` be what there is of the rows `start` … `stop` - 1, a run from now on."""
        oldest = self._oldest.values
        self._put(int(np.count_nonzero(oldest < start)), int(np.count_nonzero(oldest < stop)), nodes)

    def fetch(self, queries: F32, k: int) -> Fetched:
        """The k best rows for each query (q, d), and `1 / SLACK` more."""
        want = k + k // SLACK
        out = nothing(len(queries), want, -np.inf)
        nodes = Nodes(self._row.values, self._start.values)
        most = min(want, len(nodes))
        likely = min(most, 1 + int(MARGIN * want * len(nodes) / len(nodes.row)))
        for at, (query, coded) in enumerate(zip(queries, self._codes.products(queries), strict=True)):
            for few in (likely, most):
                if nodes.expand(*self._best(query, coded, few), out, at):
                    break
        return out

    def _put(self, first: int, last: int, nodes: Nodes) -> None:
        """Put `nodes` in the place of those from `first` up to `last`."""
        start = self._start.values
        begin, end = int(start[first]), int(start[last])
        start[last + 1 :] += len(nodes.row) - (end - begin)
        self._start.splice(first + 1, last + 1, begin + nodes.start[1:])
        self._row.splice(begin, end, nodes.row)
        self._oldest.splice(first, last, nodes.oldest)
        self._codes.splice(first, last, self._vectors(nodes.oldest))

    def _best(self, query: F32, coded: Products, k: int) -> tuple[I64, F32]:
        """The k best nodes for a query and their scores, best first.

        At least k that are good by their products are compared first. The k-th best of these is no better than the k-th
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
        codes = self._codes
        near = codes.take(nodes) if isinstance(codes, Floats) else self._vectors(self._oldest.values[nodes])
        score: F32 = np.vecdot(near, query)
        return score
