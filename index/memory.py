"""The window in memory: a table of rows, segments with graphs over the older ones, and the ring of the newest.

Like the levels of an LSM tree, rows move from the ring into the growing segment as new ones come, a full
segment is sealed, and a segment whose rows have all left is dropped whole.
"""

from typing import Any

import numpy as np

from index.compared import Compared
from index.fetched import Unindexed
from index.hash_sampling import HashOrder, Share, points
from index.matches import LABELS, Limits, Matches
from index.nodes import Nodes
from index.search import Effort, RowSource, Search, by_hash, by_similarity
from index.segment import Segment
from index.spec import PoolSpec
from index.table import Table
from index.window import Floor
from models.sample import SampleBlock
from wire.arrays import F32, I64, U64, Bool

KNOWN_BYTES = 90  # a sample key in a Python set: 48 for the number, 42 for slots (measured)
FLAT_SHARE = 0.5  # a segment with fewer live rows than this is searched exactly
DEAD_SHARE = 0.1  # dead rows take the places of live ones among those that a search compares: then these are let go


class Memory:
    """Everything about the live rows but the disk; `live` of them. There is room for `rows` at first."""

    def __init__(self, spec: PoolSpec, rows: int = 1024) -> None:
        self._spec = spec
        self.table = Table(spec.key_dim, rows)
        self.segments: list[Segment] = []
        self.live = 0
        self.effort = Effort()
        self._indexed = 0  # rows before this one are in segments
        self._known: set[int] = set()
        self._loose: dict[int, I64] | None = None
        self._loose_order: dict[int, HashOrder] = {}
        self._compared: dict[int, Compared] = {}
        self._compared_beside = dict.fromkeys(LABELS, 0)  # rows that were in graphs with an index then
        self._died = 0  # since dead rows were last let go of those that are compared

    @property
    def ring(self) -> int:
        """How many newest rows are in no segment yet."""
        return self.table.end - self._indexed

    def has(self, sample: U64) -> Bool:
        """Which sample keys are in the window (or were, a moment ago), shape (n,)."""
        return np.fromiter(map(self._known.__contains__, sample.tolist()), np.bool_, len(sample))

    def append(self, block: SampleBlock) -> None:
        """Add encoded samples to the ring."""
        rows = np.arange(self.table.end, self.table.end + len(block))
        self.table.append(block)
        for label, compared in [*self._compared.items()]:
            mine = rows[block.label == label]
            if len(mine) <= compared.room:
                compared.add(mine)
            else:
                del self._compared[label]
        self._known.update(block.sample.tolist())
        self.live += len(block)
        self._loose = None

    def index(self, n: int) -> None:
        """Move the n oldest rows of the ring into segments."""
        while n > 0:
            if not self.segments or self.segments[-1].flat or not self.segments[-1].room:
                self.segments.append(Segment(self._spec, self._indexed))
            step = min(n, self.segments[-1].room)
            self.segments[-1].grow(self.table, step)
            self._indexed += step
            self._loose = None
            n -= step

    def leave_ring(self) -> None:
        """Move all rows but the ring's into segments, where that takes no time worth spreading."""
        if self._spec.never_linked:
            self.index(self.ring - self._spec.ring_rows)

    def link(self) -> None:
        """Link all rows that are in segments into their graphs, which searches would do else."""
        for segment in self._standing():
            for graph in segment.graphs.values():
                graph.link()

    def count_up_to(self, floor: Floor) -> int:
        """How many live rows are at or below `floor`."""
        runs = [(s.start, s.stop) for s in self._reaching(floor)] + [(self._indexed, self.table.end)]
        return sum(self.table.count_up_to(start, stop, floor) for start, stop in runs)

    def expire(self, floor: Floor) -> int:
        """Let rows at or below `floor` die, and segments without live rows go; returns how many died."""
        died = self.table.expire(self._indexed, self.table.end, floor)
        for segment in self._reaching(floor):
            dead = self.table.expire(segment.start, segment.stop, floor)
            segment.live -= dead
            died += dead
            if not segment.flat and not segment.room and segment.live < FLAT_SHARE * self._spec.segment_rows:
                segment.flatten()
                self._compared = {}
        self.live -= died
        self._died += died
        if self._died > DEAD_SHARE * self.live:
            self._compared, self._died = {}, 0
        if died:
            self._drop(self._gather_flat())
            self._loose = None
        return died

    def nearest(self, keys: F32, limits: Limits, k: int) -> Matches:
        """The k most similar rows of each label for each of q queries (q, key_dim)."""
        graphs = {label: self._sources(label) for label in LABELS}
        return self._search(graphs, by_similarity(self.table), self.effort).best(keys, limits, k)

    def random(self, limits: Limits, k: int, seed: int) -> Matches:
        """k random rows of each label for each query, uniform over what it may see."""
        orders = {label: self._hash_orders(label) for label in LABELS}
        drawn = points(limits.user, limits.before_ms, seed)
        return self._search(orders, by_hash(self.table), self.effort).best(drawn, limits, k)

    def exact(self, keys: F32, limits: Limits, k: int) -> Matches:
        """What `nearest` should find: every row compared."""
        rows = np.arange(self.table.first, self.table.end)
        every = {label: [Unindexed(mine)] for label, mine in self._by_label(rows).items()}
        return self._search(every, by_similarity(self.table), Effort()).best(keys, limits, k)

    def window(self) -> I64:
        """All live rows in window order, oldest first."""
        rows = np.arange(self.table.first, self.table.end)
        rows = rows[self.table.live[self.table.at(rows)]]
        at = self.table.at(rows)
        return rows[np.lexsort((self.table.sample[at], self.table.timestamp[at]))]

    def in_graphs(self) -> int:
        """How many rows are in graphs, dead ones included."""
        return sum(len(graph) for segment in self.segments for graph in segment.graphs.values())

    def nbytes(self) -> int:
        """Bytes of everything in memory, as far as arrays and graphs tell."""
        graphs = sum(graph.nbytes() for segment in self.segments for graph in segment.graphs.values())
        compared = sum(compared.nbytes for compared in self._compared.values())
        return self.table.nbytes() + graphs + compared + KNOWN_BYTES * len(self._known)

    def loose(self) -> dict[int, I64]:
        """The live rows of each label that are in no graph."""
        if self._loose is None:
            flat = [np.arange(s.start, s.stop) for s in self.segments if s.flat]
            self._loose = self._by_label(np.concatenate([*flat, np.arange(self._indexed, self.table.end)]))
            self._loose_order = {}
        return self._loose

    def _sources(self, label: int) -> list[RowSource[F32]]:
        """What a search for similar rows of one label asks: graphs with an index, and all else as one."""
        graphs = [s.graphs[label] for s in self._standing() if len(s.graphs[label])]
        indexed = [graph for graph in graphs if graph.indexed]
        if self._compared_beside[label] != (beside := sum(map(len, indexed))):
            self._compared.pop(label, None)
            self._compared_beside[label] = beside
        if label not in self._compared:
            parts = [graph.grouped() for graph in graphs if not graph.indexed]
            nodes = Nodes.concat([*parts, Nodes.each(self.loose()[label])])
            nodes = nodes.where(self.table.live[self.table.at(nodes.row)])
            if not len(nodes):
                return [*indexed]
            self._compared[label] = Compared(nodes, self._vectors)
        return [self._compared[label], *indexed]

    def _vectors(self, rows: I64) -> F32:
        return self.table.match_key.take(self.table.at(rows), axis=0)  # indexing takes twice as long

    def _hash_orders(self, label: int) -> list[Share]:
        """What a random draw of one label asks."""
        loose = self.loose()[label]
        if label not in self._loose_order:
            self._loose_order[label] = HashOrder(loose, self.table.sample[self.table.at(loose)])
        orders = [*(segment.hash_order(self.table, label) for segment in self._standing()), self._loose_order[label]]
        rows = sum(len(order.rows) for order in orders)
        return [Share(order, len(order.rows) / rows) for order in orders if len(order.rows)]

    def _reaching(self, floor: Floor) -> list[Segment]:
        """The segments that have rows at or below `floor`, dead or not."""
        return [s for s in self.segments if s.oldest <= floor.timestamp]

    def _standing(self) -> list[Segment]:
        return [s for s in self.segments if not s.flat]

    def _by_label(self, rows: I64) -> dict[int, I64]:
        rows = rows[self.table.live[self.table.at(rows)]]
        label = self.table.label[self.table.at(rows)]
        return {which: rows[label == which] for which in LABELS}

    def _search(self, sources: Any, score: Any, effort: Effort) -> Search[Any]:
        return Search(self.table, sources, score, self._spec.window_age_ms, effort)

    def _gather_flat(self) -> range:
        """When much is flat (a stream far out of order), copy its rows to the ring; returns the new rows."""
        moved = self.table.end
        flat = [s for s in self.segments if s.flat and s.live]
        if len(flat) > 1 and sum(s.live for s in flat) > FLAT_SHARE * self._spec.segment_rows:
            for segment in flat:
                rows = np.arange(segment.start, segment.stop)
                self.table.copy_rows(rows[self.table.live[self.table.at(rows)]])
                segment.live = 0
        return range(moved, self.table.end)

    def _drop(self, moved: range) -> None:
        """Forget segments without live rows; the sample keys of rows that `moved` elsewhere stay known."""
        gone = [s for s in self.segments if not s.live and (s.flat or not s.room)]
        if gone:
            self._compared = {}
        for segment in gone:
            span = self.table.span(segment.start, segment.stop)
            self._known.difference_update(self.table.sample[span].tolist())
        self._known.update(self.table.sample[self.table.span(moved.start, moved.stop)].tolist())
        self.segments = [s for s in self.segments if s not in gone]
        self.table.first = min([s.start for s in self.segments] + [self._indexed])
