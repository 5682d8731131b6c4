"""Rows of one label that are in no index, and their vectors, as one source: a query is compared with each distinct one.

First all at once, by codes or by float32, which tells all that may be among the best; these are then compared one by
one, and their rows taken as far as the query may see them. So what is found is what comparing all vectors finds; and it
depends on the query and the rows alone, not on what else is asked with it.
"""

import numpy as np

from index.codes import FAST_BYTES, Codes
from index.column import Column
from index.fetched import NO_ROW, Part
from index.floats import Floats
from index.nodes import Nodes
from index.products import Products
from index.sight import Sight, ranks
from wire.arrays import F32, F64, I64

# So many nodes are looked for at first, in parts of those that have the rows wanted on the average, and so many more:
# some of their rows may not be seen. Where that is too few, all is done again with four times as many.
MARGIN, BESIDES, AGAIN = 1.1, 8, 4


class Compared:
    """Rows by their distinct vectors, of width `dim`, in runs, and those that came since, each a node of its own.

    A node's rows are all in one run, and runs are in the order of their rows. Nobody else holds the vectors: a node has
    that of its first row, which in `index.graph` the others' equal.
    """

    def __init__(self, dim: int) -> None:
        self._row, self._start = Column(np.int64), Column(np.int32)
        self._start.splice(0, 0, np.zeros(1, np.int32))
        self._codes = Codes(dim) if FAST_BYTES else Floats(dim)

    @property
    def rows(self) -> I64:
        """All of them."""
        return self._row.values

    @property
    def nbytes(self) -> int:
        """Bytes of nodes and vectors, and of the room for more."""
        return self._row.nbytes + self._start.nbytes + self._codes.nbytes

    def add(self, rows: I64, vectors: F32) -> None:
        """Rows that came, with their vectors (n, d)."""
        end = len(self._start.values) - 1
        self._put(end, end, Nodes.each(rows))
        self._codes.splice(end, end, vectors)

    def replace(self, start: int, stop: int, nodes: Nodes, vectors: F32) -> None:
        """Let `nodes` with their vectors be what there is of the rows `start` … `stop` - 1, a run from now on."""
        first, last = self._between(start, stop)
        self._put(first, last, nodes)
        self._codes.splice(first, last, vectors)

    def keep(self, start: int, stop: int, nodes: Nodes, kept: I64) -> None:
        """The same with nodes that have the vectors of those that are `kept` (n,) here."""
        first, last = self._between(start, stop)
        self._put(first, last, nodes)
        self._codes.keep(first, last, kept)

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
        return self._codes.values.take(nodes, axis=0)

    def best(self, queries: F32, sight: Sight, k: int) -> Part:
        """The k best rows that each query (q, d) may see, best first, and their scores; padded with `NO_ROW`, -inf."""
        row, score = np.full((len(queries), k), NO_ROW), np.full((len(queries), k), -np.inf)
        queries = np.array(queries, np.float32, order="C")  # of one kind: for each other, loops would be compiled anew
        for at, (query, products) in enumerate(zip(queries, self._codes.products(queries), strict=True)):
            self._best(query, products, sight, at, (row[at], score[at]))
        return row, score

    def _between(self, start: int, stop: int) -> tuple[int, int]:
        """The first node of the rows `start` … `stop` - 1, and the first behind them."""
        begin = np.searchsorted(self._row.values, (start, stop))  # in whole runs, which alone are sorted
        begin = begin.astype(self._start.values.dtype)  # else all of these would be cast
        first, last = np.searchsorted(self._start.values, begin).tolist()
        return first, last

    def _put(self, first: int, last: int, nodes: Nodes) -> None:
        """Put `nodes` in the place of those from `first` up to `last`."""
        start = self._start.values
        begin, end = int(start[first]), int(start[last])
        start[last + 1 :] += len(nodes.row) - (end - begin)
        self._start.splice(first + 1, last + 1, (begin + nodes.start[1:]).astype(np.int32))
        self._row.splice(begin, end, nodes.row)

    def _best(self, query: F32, products: Products, sight: Sight, at: int, into: tuple[I64, F64]) -> None:
        """Those of one query.

        Nodes whose products are high enough are compared, and their rows looked at, best first. No node that is left
        out may be as good as the k-th row found: else, or where too few were found, more are compared.
        """
        start, row, k = self._start.values, self._row.values, len(into[0])
        many = BESIDES + int(MARGIN * k * (len(start) - 1) / max(1, len(row)))
        least = products.about(many)
        while True:
            near = products.reaching(least)
            best = ranks(near, self._codes.values, query)
            best.sort()
            found = sight.of_nodes(at, best, (row, start), into)
            if len(near) == len(start) - 1:
                return
            if found < k:
                many *= AGAIN
                least = products.about(many)
            elif (needed := products.least(into[1][-1])) < least:
                least = needed
            else:
                return
