"""A time segment: a run of rows, as they came, in one graph per label; dropped whole when its rows have left."""

import numpy as np

from index.graph import Graph
from index.hash_sampling import HashOrder
from index.matches import LABELS
from index.spec import PoolSpec
from index.table import Table


class Segment:
    """Rows `start` … `stop` - 1 of a table. Grows until it is full; then it is sealed.

    A segment most of whose rows have left is `flat`: its graph would find mostly dead rows, so it is let go
    and the rows that remain are searched exactly.
    """

    def __init__(self, spec: PoolSpec, start: int) -> None:
        self._spec = spec
        self.start = start
        self.stop = start
        self.live = 0
        self.oldest = np.iinfo(np.int64).max  # timestamp of its oldest row
        self.graphs = {label: Graph(spec) for label in LABELS}
        self.flat = False
        self._hash_orders: dict[int, HashOrder] = {}

    @property
    def room(self) -> int:
        """How many rows still fit."""
        return self._spec.segment_rows - (self.stop - self.start)

    def grow(self, table: Table, n: int) -> None:
        """Take the next n rows of the table in; those that have left already get no place in a graph."""
        span = table.span(self.stop, self.stop + n)
        places = np.flatnonzero(table.live[span])
        for label, graph in self.graphs.items():
            mine = places[table.label[span][places] == label]
            if len(mine):
                graph.add(table.match_key[span][mine], mine + self.stop)
        self.stop += n
        self.live += len(places)
        self.oldest = min(self.oldest, int(table.timestamp[span].min()))
        self._hash_orders = {}
        if self.room == 0:
            for graph in self.graphs.values():
                graph.seal()

    def hash_order(self, table: Table, label: int) -> HashOrder:
        """The rows of one label for random draws."""
        if label not in self._hash_orders:
            rows = self.graphs[label].rows
            self._hash_orders[label] = HashOrder(rows, table.sample[table.at(rows)])
        return self._hash_orders[label]

    def flatten(self) -> None:
        """Let the graphs go."""
        self.graphs, self._hash_orders = {}, {}
        self.flat = True
