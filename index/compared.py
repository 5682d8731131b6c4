"""Rows of one label that are in no index, and their vectors, as one source: a query is compared with each distinct one.

First all at once, by codes or by float32, which tells all that may be among the best; these are then compared one by
one. So what is found is what comparing all vectors finds; and it depends on the query and the rows alone, not on what
else is asked with it.
"""

import numpy as np

from index.codes import FAST_BYTES, Codes, Products
from index.column import Column
from index.fetched import Fetched, nothing
from index.floats import Floats
from index.highest import best_first, reached_by
from index.nodes import Nodes
from wire.arrays import F32, I64

# The asker's own samples are the most similar of all, and may not be seen: so many more rows are fetched, in parts of
# those asked for, lest fewer are left than asked for and all have to be looked at after all.
SLACK = 4
MARGIN = 1.2  # so many nodes are looked for at first, in parts of those that have the rows wanted on the average


class Compared:
    """Rows by their distinct vectors, of width `dim`, in runs, and those that came since, each a node of its own.

    A node's rows are all in one run, and runs are in the order of their rows. Nobody else holds the vectors: a node has
    that of its first row, which in `index.graph` the others' equal.
    """

    def __init__(self, dim: int) -> None:
        self._row, self._start = Column(np.int64), Column(np.int64)
        self._start.splice(0, 0, np.zeros(1, np.int64))
        self._oldest = Column(np.int64)  # of the rows of each node
        self._codes = Codes(dim) if FAST_BYTES else Floats(dim)

    @property
    def rows(self) -> I64:
        """All of them."""
        return self._row.values

    @property
    def nbytes(self) -> int:
        """Bytes of nodes and vectors, and of the room for more."""
        return self._row.nbytes + self._start.nbytes + self._oldest.nbytes + self._codes.nbytes

    def add(self, rows: I64, vectors: F32) -> None:
        """Rows that came, with their vectors (n, d)."""
        end = len(self._oldest.values)
        self._put(end, end, Nodes.each(rows), vectors)

    def replace(self, start: int, stop: int, nodes: Nodes, vectors: F32) -> None:
        """Let `nodes` with their vectors be what there is of the rows `start` … `stop` - 1, a run from now on."""
        self._put(*self._between(start, stop), nodes, vectors)

    def nodes(self, rows: I64, start: int, stop: int) -> I64:
        """The node of each of some rows (n,), -1 of those that are not here; all are of `start` … `stop` - 1, between
        which runs lie whole."""
        first, last = self._between(start, stop)
        begin = self._start.values[first : last + 1]
        node = np.full(stop - start, -1)
        node[self._row.values[begin[0] : begin[-1]] - start] = np.repeat(np.arange(first, last), np.diff(begin))
        return node[rows - start]

    def vectors(self, nodes: I64) -> F32:
        """Those of nodes (n,): (n, d)."""
        return self._codes.take(nodes)

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

    def _between(self, start: int, stop: int) -> tuple[int, int]:
        """The first node of the rows `start` … `stop` - 1, and the first behind them."""
        oldest = self._oldest.values
        return int(np.count_nonzero(oldest < start)), int(np.count_nonzero(oldest < stop))

    def _put(self, first: int, last: int, nodes: Nodes, vectors: F32) -> None:
        """Put `nodes` in the place of those from `first` up to `last`."""
        start = self._start.values
        begin, end = int(start[first]), int(start[last])
        start[last + 1 :] += len(nodes.row) - (end - begin)
        self._start.splice(first + 1, last + 1, begin + nodes.start[1:])
        self._row.splice(begin, end, nodes.row)
        self._oldest.splice(first, last, nodes.oldest)
        self._codes.splice(first, last, vectors)

    def _best(self, query: F32, coded: Products, k: int) -> tuple[I64, F32]:
        """The k best nodes for a query and their scores, best first.

        The k that are best by their products are compared first. The k-th best of all is no worse than the worst of
        these, so of the others only those are compared that may be as good.
        """
        near, product = reached_by(coded.product, k)
        kth = np.partition(product, len(product) - k)[len(product) - k]
        nodes = near[product >= kth]
        score = self._compare(query, nodes)
        low = coded.least(score.min())
        if low < product.min():
            near = np.flatnonzero(coded.product >= low)
            product = coded.product.take(near)
        if len(rest := near[(product >= low) & (product < kth)]):
            nodes, score = np.concatenate([nodes, rest]), np.concatenate([score, self._compare(query, rest)])
        return best_first(nodes, score, k)

    def _compare(self, query: F32, nodes: I64) -> F32:
        """Scores of nodes: one by one, so that each is the same whatever stands beside it."""
        score: F32 = np.vecdot(self.vectors(nodes), query)
        return score
