"""Graphs of few nodes as one source: a query is compared with each of their nodes."""

from collections.abc import Sequence

import numpy as np

from index.fetched import Fetched
from index.graph import Graph
from index.highest import top_k
from index.nodes import Nodes
from wire.arrays import F32, I64

# The asker's own samples are the most similar of all, and may not be seen: so many more rows are fetched, in parts of
# those asked for, lest fewer are left than asked for and all have to be looked at after all.
SLACK = 4
MANY = 12  # queries that one product serves faster than one each: it arranges all vectors anew before it begins


class Compared:
    """Graphs without an index, one after the other."""

    def __init__(self, graphs: Sequence[Graph]) -> None:
        self._graphs = graphs

    @property
    def rows(self) -> I64:
        """All rows of the graphs."""
        return np.concatenate([graph.rows for graph in self._graphs])

    def fetch(self, queries: F32, k: int) -> Fetched:
        """About the k best rows for each query (q, d), and `1 / SLACK` more."""
        vectors = [graph.few for graph in self._graphs]
        score = np.empty((len(queries), sum(map(len, vectors))), np.float32)
        at = 0
        for few in vectors:  # in place: a copy of all scores would take as long as finding the best of them
            into = score[:, at : at + len(few)]
            if len(queries) < MANY:
                for query, row in zip(queries, into, strict=True):
                    np.dot(few, query, out=row)
            else:
                np.matmul(queries, few.T, out=into)
            at += len(few)
        nodes = Nodes.concat([graph.grouped() for graph in self._graphs])
        want = k + k // SLACK
        return nodes.expand(*top_k(score, want), want)
