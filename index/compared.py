"""Few vectors here and there as one source: a query is compared with each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from index.fetched import Fetched
from index.highest import top_k
from index.nodes import Nodes
from wire.arrays import F32, I64

# The asker's own samples are the most similar of all, and may not be seen: so many more rows are fetched, in parts of
# those asked for, lest fewer are left than asked for and all have to be looked at after all.
SLACK = 4
MANY = 12  # queries that one product serves faster than one each: it arranges all vectors anew before it begins


class Few(Protocol):
    """Rows by their distinct vectors, as an `index.graph.Graph` without an index has them."""

    @property
    def rows(self) -> I64:
        """All of them."""
        ...

    @property
    def few(self) -> F32:
        """The vectors of the nodes, (nodes, d)."""
        ...

    def grouped(self) -> Nodes:
        """The rows by their nodes."""
        ...


@dataclass(frozen=True, slots=True)
class Loose:
    """Rows in no graph, each with a vector of its own."""

    rows: I64
    few: F32

    def grouped(self) -> Nodes:
        """Each row is a node."""
        return Nodes(self.rows, np.arange(len(self.rows) + 1))


class Compared:
    """What has no index, one after the other; at least one vector."""

    def __init__(self, parts: Sequence[Few]) -> None:
        self._parts = parts

    @property
    def rows(self) -> I64:
        """All rows of the parts."""
        return np.concatenate([part.rows for part in self._parts])

    def fetch(self, queries: F32, k: int) -> Fetched:
        """About the k best rows for each query (q, d), and `1 / SLACK` more."""
        vectors = [part.few for part in self._parts]
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
        nodes = Nodes.concat([part.grouped() for part in self._parts])
        want = k + k // SLACK
        return nodes.expand(*top_k(score, want), want)
