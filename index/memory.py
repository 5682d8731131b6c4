"""The window in memory: a table of rows, segments with graphs over the older ones, and the ring of the newest.

Like the levels of an LSM tree, rows move from the ring into the growing segment as new ones come, a full
segment is sealed, and a segment whose rows have all left is dropped whole.

What searches look at follows in steps no larger than a segment: rows are compared one by one as they come, and those of
one segment are put together by their vectors, without the dead, when it has many of either. So no upsert and no query
ever waits for all of the window.
"""

import numpy as np

from index.compared import Compared
from index.fetched import Unindexed
from index.graph import Graph
from index.hash_sampling import Drawn, points
from index.key_set import KeySet
from index.laid import laid_out
from index.matches import LABELS, Limits, Matches
from index.nodes import NO_NODES, Nodes
from index.scored import NONE, best_of
from index.search import Effort, Search
from index.segment import Segment
from index.sight import Sight
from index.spec import PoolSpec
from index.table import Table
from index.window import EVERYTHING, Floor
from models.sample import SampleBlock
from wire.arrays import F32, I64, U64, Bool

FLAT_SHARE = 0.5  # a segment with fewer live rows than this is searched exactly
# A segment is put together anew when it has so many rows to no use, in parts of its live ones: searches compare them,
# or pass them by. A smaller share is more work: by this one each row is put together some 3 times while its segment
# grows, and as often while that dies.
WASTE_SHARE = 0.25
DEAD_SHARE = 0.1  # of the rows that are drawn from: draws pass them by


def get_ready(key_dim: int) -> None:
    """Compile what searches and draws need, or read what was compiled, before anybody waits for an answer."""
    nobody = Limits(np.zeros(1, np.uint64), np.zeros(1, np.int64))
    memory = Memory(PoolSpec(key_dim=key_dim))
    memory.table.told(memory.nearest(np.zeros((1, key_dim), np.float32), nobody, 1))
    memory.random(nobody, 1, seed=0)
    memory.expire(Floor(0, 0))
    memory._settle()
    memory._known.add(nobody.user)
    memory.has(nobody.user)
    memory._known.remove(nobody.user)
    laid_out(best_of([NONE, NONE], 1), NONE)


class Memory:
    """Everything about the live rows but the disk; `live` of them. There is room for `rows` at first."""

    def __init__(self, spec: PoolSpec, rows: int = 1024) -> None:
        self._spec = spec
        self.table = Table(rows)
        self.segments: list[Segment] = []
        self.live = 0
        self.effort = Effort()
        self._indexed = 0  # rows before this one are in segments
        self._known = KeySet()  # sample keys of the rows of segments and ring
        self._drawn = {label: Drawn() for label in LABELS}
        self._died = 0  # of the rows that are drawn from
        self._floor = EVERYTHING  # no live row is at or below it
        self._compared = {label: Compared(spec.key_dim) for label in LABELS}
        self._beside: dict[int, list[tuple[int, int]]] = {label: [] for label in LABELS}  # rows that an index has

    @property
    def ring(self) -> int:
        """How many newest rows are in no segment yet."""
        return self.table.end - self._indexed

    def has(self, sample: U64) -> Bool:
        """Which sample keys are in the window (or were, a moment ago), shape (n,)."""
        return self._known.has(sample)

    def append(self, block: SampleBlock) -> None:
        """Add encoded samples to the ring."""
        assert block.match_key is not None, "the block is not encoded"
        start = self.table.end
        self.table.append(block)
        self._take_in(start, block.match_key)
        self._known.add(block.sample)
        self.live += len(block)

    def index(self, n: int) -> None:
        """Move the n oldest rows of the ring into segments."""
        while n > 0:
            if not self.segments or self.segments[-1].flat or not self.segments[-1].room:
                self.segments.append(Segment(self._spec, self._indexed))
            step = min(n, self.segments[-1].room)
            self.segments[-1].grow(self.table, step, self._vectors)
            self._indexed += step
            n -= step

    def leave_ring(self) -> None:
        """Move all rows but the ring's into segments, where that takes no time worth spreading."""
        if self._spec.never_linked:
            self.index(self.ring - self._spec.ring_rows)
            self.link()

    def tidy(self) -> None:
        """Put the rows of one segment together, if there is one with much to no use."""
        due = [segment for segment in self.segments if segment.waste > WASTE_SHARE * segment.live]
        if due:
            self._put_together(max(due, key=lambda segment: segment.waste))

    def link(self) -> None:
        """Link all rows that are in segments into their graphs, which searches would do else."""
        for segment in self._standing():
            for graph in segment.graphs.values():
                graph.link()

    def count_up_to(self, floor: Floor) -> int:
        """How many live rows are at or below `floor`."""
        if floor <= self._floor:
            return 0
        runs = [(s.start, s.stop) for s in self._reaching(floor)] + [(self._indexed, self.table.end)]
        return sum(self.table.count_up_to(start, stop, floor) for start, stop in runs)

    def expire(self, floor: Floor) -> int:
        """Let rows at or below `floor` die, and segments without live rows go; returns how many died."""
        if floor <= self._floor:
            return 0
        self._floor = floor
        died = self.table.expire(self._indexed, self.table.end, floor)
        for segment in self._reaching(floor):
            dead = self.table.expire(segment.start, segment.stop, floor)
            segment.expire(dead)
            died += dead
            few = not segment.room and segment.live < FLAT_SHARE * self._spec.segment_rows
            if few and not segment.flat and segment.flatten():
                self._put_together(segment)
                segment.forget_vectors()
        self.live -= died
        self._died += died
        if died:
            self._drop(self._gather_flat())
        if self._died > DEAD_SHARE * self.live:
            self._settle()
        return died

    def nearest(self, keys: F32, limits: Limits, k: int) -> Matches:
        """The k most similar rows of each label for each of q queries (q, key_dim)."""
        if not self._spec.never_linked:  # rows wait until somebody looks, since they may have to be linked
            self.tidy()
        graphs = {label: self._graphs(label) for label in LABELS}
        return Search(self._compared, graphs, self.vectors, self.effort).best(keys, self._sight(limits), k)

    def random(self, limits: Limits, k: int, seed: int) -> Matches:
        """k random rows of each label for each query, uniform over what it may see."""
        drawn, sight = points(limits.user, limits.before_ms, seed), self._sight(limits)
        row, score = zip(*(self._drawn[label].draw(drawn, sight, k) for label in LABELS), strict=True)
        return Matches(np.stack(row, axis=1), np.stack(score, axis=1), limits.before_ms)

    def exact(self, keys: F32, limits: Limits, k: int) -> Matches:
        """What `nearest` should find: every row compared."""
        rows = np.arange(self.table.first, self.table.end)
        every = {label: [Unindexed(mine)] for label, mine in self._by_label(rows).items()}
        none = dict.fromkeys(LABELS, Compared(self._spec.key_dim))
        return Search(none, every, self.vectors, Effort()).best(keys, self._sight(limits), k)

    def vectors(self, rows: I64) -> F32:
        """Match keys (n, d) of live rows."""
        found, label = np.empty((len(rows), self._spec.key_dim), np.float32), self.table.label[self.table.at(rows)]
        for which in LABELS:
            mine = np.flatnonzero(label == which)
            found[mine] = self._vectors(which, rows[mine], self.table.first, self.table.end)
        return found

    def window(self) -> I64:
        """All live rows in window order, oldest first."""
        rows = np.arange(self.table.first, self.table.end)
        rows = rows[self.table.live[self.table.at(rows)]]
        at = self.table.at(rows)
        return rows[np.lexsort((self.table.sample[at], self.table.timestamp[at]))]

    def in_graphs(self) -> int:
        """How many rows are in graphs, dead ones included."""
        return sum(len(graph) for segment in self._standing() for graph in segment.graphs.values())

    def nbytes(self) -> int:
        """Bytes of everything in memory, as far as arrays and graphs tell."""
        segments = sum(segment.nbytes for segment in self.segments)
        compared = sum(each.nbytes for each in self._compared.values())
        drawn = sum(each.nbytes for each in self._drawn.values())
        return self.table.nbytes() + segments + compared + drawn + self._known.nbytes

    def _sight(self, limits: Limits) -> Sight:
        """The window also bounds what a query sees from below, so that the samples it may see do not depend on when
        their shard last got one."""
        return Sight(*self.table.seen, self._spec.window_age_ms, limits)

    def _graphs(self, label: int) -> list[Graph]:
        """Those of one label that have an index; all other rows are compared."""
        indexed = [segment for segment in self.segments if segment.graphs[label].indexed]
        graphs = [segment.graphs[label] for segment in indexed]
        beside = [(segment.start, len(graph)) for segment, graph in zip(indexed, graphs, strict=True)]
        if beside != self._beside[label]:
            self._beside[label] = beside
            for segment in indexed:
                self._replace(label, segment, NO_NODES)
        return graphs

    def _take_in(self, start: int, vectors: F32) -> None:
        """Compare the rows from `start` on, too, and draw from them."""
        span = self.table.span(start, self.table.end)
        label, sample = self.table.label[span], self.table.sample[span]
        for which in LABELS:
            mine = np.flatnonzero(label == which)
            self._compared[which].add(mine + start, vectors[mine])
            self._drawn[which].add(mine + start, sample[mine])
        if any(drawn.crowded for drawn in self._drawn.values()):
            self._settle()

    def _settle(self) -> None:
        for drawn in self._drawn.values():
            drawn.settle(lambda rows: self.table.live[self.table.at(rows)])
        self._died = 0

    def _put_together(self, segment: Segment) -> None:
        for label, nodes in segment.tidy(self.table).items():
            self._replace(label, segment, nodes)

    def _replace(self, label: int, segment: Segment, nodes: Nodes) -> None:
        """Let `nodes` be what is compared of a segment."""
        compared, start, stop = self._compared[label], segment.start, segment.stop
        kept = compared.nodes(nodes.oldest, start, stop)
        if (kept >= 0).all():
            compared.keep(start, stop, nodes, kept)
        else:
            compared.replace(start, stop, nodes, self._vectors(label, nodes.oldest, start, stop))

    def _vectors(self, label: int, rows: I64, start: int, stop: int) -> F32:
        """Match keys (n, d) of rows of one label that are of `start` … `stop` - 1, where segments or rows of none lie
        whole: what compares them has them, or an index."""
        node = self._compared[label].nodes(rows, start, stop)
        if (here := node >= 0).all():
            return self._compared[label].vectors(node)
        found = np.empty((len(rows), self._spec.key_dim), np.float32)
        found[here] = self._compared[label].vectors(node[here])
        for segment in self.segments:
            if (theirs := ~here & (rows >= segment.start) & (rows < segment.stop)).any():
                found[theirs] = segment.graphs[label].vectors(rows[theirs])
        return found

    def _reaching(self, floor: Floor) -> list[Segment]:
        """The segments that have rows at or below `floor`, dead or not."""
        return [s for s in self.segments if s.oldest <= floor.timestamp]

    def _standing(self) -> list[Segment]:
        return [s for s in self.segments if not s.flat]

    def _by_label(self, rows: I64) -> dict[int, I64]:
        rows = rows[self.table.live[self.table.at(rows)]]
        label = self.table.label[self.table.at(rows)]
        return {which: rows[label == which] for which in LABELS}

    def _gather_flat(self) -> range:
        """When much is flat (a stream far out of order), copy its rows to the ring; returns the new rows."""
        moved = self.table.end
        flat = [s for s in self.segments if s.flat and s.live]
        if len(flat) > 1 and sum(s.live for s in flat) > FLAT_SHARE * self._spec.segment_rows:
            rows = np.concatenate([np.arange(segment.start, segment.stop) for segment in flat])
            rows = rows[self.table.live[self.table.at(rows)]]
            vectors = self.vectors(rows)
            self.table.copy_rows(rows)
            for segment in flat:
                segment.live = 0
            self._take_in(moved, vectors)
        return range(moved, self.table.end)

    def _drop(self, moved: range) -> None:
        """Forget segments without live rows; the sample keys of rows that `moved` elsewhere stay known."""
        gone = [s for s in self.segments if not s.live and (s.flat or not s.room)]
        for segment in gone:
            for label in LABELS:
                self._replace(label, segment, NO_NODES)
            span = self.table.span(segment.start, segment.stop)
            self._known.remove(self.table.sample[span])
        self._known.add(self.table.sample[self.table.span(moved.start, moved.stop)])
        if gone:
            self._settle()  # while there still are places to look up who is dead
        self.segments = [s for s in self.segments if s not in gone]
        self.table.first = min([s.start for s in self.segments] + [self._indexed])
