"""A time segment: a run of rows, as they came, in one graph per label; dropped whole when its rows have left."""

from collections.abc import Callable

import numpy as np

from index.graph import Graph
from index.matches import LABELS
from index.nodes import NO_NODES, Nodes
from index.spec import PoolSpec
from index.table import Table
from wire.arrays import F32, I64


class Segment:
    """Rows `start` … `stop` - 1 of a table. Grows until it is full; then it is sealed.

    A segment most of whose rows have left is `flat`: an index would find mostly dead rows, so its graphs let theirs go
    and the rows that remain are compared one by one.
    """

    def __init__(self, spec: PoolSpec, start: int) -> None:
        self._spec = spec
        self.start = start
        self.stop = start
        self.live = 0
        self.waste = 0  # rows that searches look at although they are dead, or share a vector with others
        self.oldest = np.iinfo(np.int64).max  # timestamp of its oldest row
        self.graphs = {label: Graph(spec) for label in LABELS}
        self.flat = False

    @property
    def room(self) -> int:
        """How many rows still fit."""
        return self._spec.segment_rows - (self.stop - self.start)

    @property
    def nbytes(self) -> int:
        """Bytes of its graphs."""
        return sum(graph.nbytes() for graph in self.graphs.values())

    def grow(self, table: Table, n: int, vectors: Callable[[int, I64, int, int], F32]) -> None:
        """Take the next n rows of the table in; those that have left already get no place in a graph.

        `vectors` gives those of a label's rows that are between two others.
        """
        span = table.span(self.stop, self.stop + n)
        places = np.flatnonzero(table.live[span])
        for label, graph in self.graphs.items():
            mine = places[table.label[span][places] == label]
            if len(mine):
                rows = mine + self.stop
                graph.add(vectors(label, rows, self.stop, self.stop + n), rows)
        self.stop += n
        self.live += len(places)
        self.waste += n
        self.oldest = min(self.oldest, int(table.timestamp[span].min()))
        if self.room == 0:
            for graph in self.graphs.values():
                graph.seal()

    def expire(self, dead: int) -> None:
        """So many of its rows have died."""
        self.live -= dead
        self.waste += dead

    def tidy(self, table: Table) -> dict[int, Nodes]:
        """Forget dead rows; the others of each label by their vectors, but for those that an index has."""
        self.waste = 0
        return {label: self._nodes(table, graph) for label, graph in self.graphs.items()}

    def flatten(self) -> bool:
        """Be flat from now on; whether there was an index, whose rows are to be compared now, and whose vectors to be
        forgotten after."""
        self.flat = True
        return sum(graph.flatten() for graph in self.graphs.values()) > 0

    def forget_vectors(self) -> None:
        """Those that were left of its indexes."""
        for graph in self.graphs.values():
            graph.forget_vectors()

    def _nodes(self, table: Table, graph: Graph) -> Nodes:
        if graph.indexed:
            return NO_NODES
        nodes = graph.grouped()
        return nodes.where(table.live[table.at(nodes.row)])
