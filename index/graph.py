"""The rows of one label in one time segment, to be searched: compared while few, in an HNSW graph when many.

Nodes are the *distinct* vectors; rows with the same vector hang on one node. Users with the same recent
history have the same vector, whole bursts of a user's samples do, and everyone without a history does: as
separate nodes they would link to each other only, and cut the graph apart.

While there are few nodes (`PoolSpec.graph_nodes`), a query is compared with each of them (`index.compared`): that
misses nothing, and no link is made. The more a query asks for, the longer that is also the faster way, since a graph's
beam is as wide as what is asked for. `python -m benchmarks.graph` (ml-1m, noise on every vector; µs of a core per
query, 250 at once and alone):

| nodes | best 100: HNSW | compared | best 800: HNSW | compared | to link all |
|---|---|---|---|---|---|
| 5,000 | 52, 63 | 57, 136 | 316, 360 | 193, 325 | .2 s |
| 10,000 | 57, 69 | 71, 161 | 359, 383 | 188, 335 | .5 s |
| 20,000 | 65, 84 | 89, 207 | 397, 436 | 199, 331 | 1.1 s |
| 40,000 | 79, 94 | 194, 258 | 482, 508 | 345, 432 | 2.6 s |

Besides, the histories of one user are closer to each other than to anybody else's, and HNSW, which links a node to its
nearest, finds its way between such clusters badly: of 1,208 nodes (completejourney) it found .70 of the best 190, of
16,596 (ml-1m) .95, and no beam helps.

hnswlib is kept to what it does reliably: node numbers are never reused, capacity is made before it is
needed, never more results asked than there are nodes, and one thread.

Linking a node is most of what a sample costs, and only a search needs it: so rows wait until somebody looks. A pool
that is filled with more than its window holds never links what has left again. The graph is the same either way.
"""

import hnswlib
import numpy as np

from index.fetched import Fetched, nothing
from index.nodes import Nodes
from index.spec import PoolSpec
from wire.arrays import F32, I64
from wire.ids import mix

# Vectors in one cell of this grid are one node. The same history encoded in different batches differs by up to
# 6e-8 (measured), different histories by far more.
CELLS = 2.0**16
FIRST_CAPACITY = 1024  # rows and nodes; doubles


class Graph:
    """Rows of one label, searchable by inner product."""

    def __init__(self, spec: PoolSpec) -> None:
        self._spec = spec
        self._index: hnswlib.Index | None = None
        self._indexable = not spec.never_linked
        self._few = np.zeros((0, spec.key_dim), np.float32)  # vectors of the nodes, while there may be an index later
        self._nodes = 0
        self._node_of_name: dict[int, int] = {}
        self._row = np.zeros(FIRST_CAPACITY, np.int64)
        self._node = np.zeros(FIRST_CAPACITY, np.int32)
        self._rows = 0
        self._waiting: list[F32] = []  # vectors of the newest rows, not linked yet
        self._sealed = False
        self._grouped: Nodes | None = None
        self._failed_at = -1  # nodes when the graph last proved disconnected

    def __len__(self) -> int:
        return self._rows

    @property
    def nodes(self) -> int:
        """How many distinct vectors the graph holds."""
        self.link()
        return self._nodes

    @property
    def rows(self) -> I64:
        """All rows of the graph, in the order they were added."""
        return self._row[: self._rows]

    def nbytes(self) -> int:
        """Bytes of the graph, as saved, and of the rows that hang on it."""
        waiting = sum(keys.nbytes for keys in self._waiting)
        nodes = self._few.nbytes if self._index is None else int(self._index.index_file_size())
        return nodes + self._row.nbytes + self._node.nbytes + waiting

    def add(self, keys: F32, rows: I64) -> None:
        """Add rows by their vectors; shapes (n, d) and (n,)."""
        need = self._rows + len(rows)
        if need > len(self._row):
            room = max(need, 2 * len(self._row))
            self._row, self._node = np.resize(self._row, room), np.resize(self._node, room)
        self._row[self._rows : need] = rows
        self._rows = need
        self._waiting.append(keys)

    def seal(self) -> None:
        """Nothing will be added any more: let go of what only adding needs."""
        self._row, self._node = self._row[: self._rows].copy(), self._node[: self._rows].copy()
        self._sealed = True
        self._let_go()

    def flatten(self) -> bool:
        """Be without an index from now on; whether there was one. Its vectors are there until they are forgotten."""
        index, self._index = self._index, None
        self._indexable, self._few = False, self._few[:0].copy()
        if index is not None:
            self._few = index.get_items(np.arange(self._nodes))
        return index is not None

    def forget_vectors(self) -> None:
        """Those that were left of an index."""
        self._few = self._few[:0].copy()

    def vectors(self, rows: I64) -> F32:
        """Those of rows (n,) that the index has, or had: (n, d)."""
        node = self._node[np.searchsorted(self.rows, rows)]
        vectors: F32 = self._few[node] if self._index is None else self._index.get_items(node)
        return vectors

    def link(self) -> None:
        """Link the rows that wait, as a search does before it looks."""
        if not self._waiting:
            return
        keys = np.concatenate(self._waiting)
        self._waiting = []
        known = self._node_of_name
        node = np.fromiter((known.setdefault(name, len(known)) for name in _names(keys)), np.int64, len(keys))
        _, first = np.unique(node, return_index=True)
        first = first[node[first] >= self._nodes]  # sorted by node, so nodes are added in order
        self._add_nodes(keys[first], node[first])
        self._node[self._rows - len(keys) : self._rows] = node
        self._grouped = None
        self._let_go()

    @property
    def indexed(self) -> bool:
        """Whether so many nodes are here that an index has them and can `fetch`; others are compared."""
        self.link()
        return self._index is not None

    def grouped(self) -> Nodes:
        """The rows by their nodes."""
        self.link()
        if self._grouped is None:
            self._grouped = Nodes.of(self.rows, self._node[: self._rows].astype(np.int64), self._nodes)
        return self._grouped

    def fetch(self, queries: F32, k: int) -> Fetched:
        """About the k best rows for each query (q, d), by the index."""
        self.link()
        assert self._index is not None, "without an index nodes are compared"
        if self._failed_at == self._nodes:
            return nothing(len(queries), k, np.inf)
        want = min(k, self._nodes)
        self._index.set_ef(max(self._spec.search_beam, want))
        try:
            nodes, distance = self._index.knn_query(queries, want, num_threads=1)
        except RuntimeError:  # fewer than `want` nodes can be reached: hnswlib fails the whole batch, and leaks
            self._failed_at = self._nodes
            return nothing(len(queries), k, np.inf)
        out, grouped = nothing(len(queries), k, -np.inf), self.grouped()
        for at, (mine, score) in enumerate(zip(nodes.astype(np.int64), 1 - distance, strict=True)):
            grouped.expand(mine, score, out, at)
        return out

    def _add_nodes(self, keys: F32, nodes: I64) -> None:
        need = self._nodes + len(nodes)
        if self._index is None and self._indexable and need > self._spec.graph_nodes:
            self._index = self._new_index(need)
            keys, nodes = np.concatenate([self._few[: self._nodes], keys]), np.arange(need)
            self._few = self._few[:0].copy()
        if self._index is None and self._indexable:
            if need > len(self._few):
                self._few = np.resize(self._few, (max(need, 2 * len(self._few)), keys.shape[1]))
            self._few[self._nodes : need] = keys
        elif self._index is not None and len(nodes):
            if need > self._index.get_max_elements():
                self._index.resize_index(max(need, 2 * self._index.get_max_elements()))
            self._index.add_items(keys, nodes, num_threads=1)
        self._nodes = need

    def _new_index(self, nodes: int) -> hnswlib.Index:
        index = hnswlib.Index(space="ip", dim=self._spec.key_dim)
        index.init_index(max(nodes, FIRST_CAPACITY), M=self._spec.links, ef_construction=self._spec.build_beam)
        index.set_num_threads(1)
        return index

    def _let_go(self) -> None:
        if self._sealed and not self._waiting:
            self._node_of_name = {}
            if self._index is None:
                self._few = self._few[: self._nodes].copy()
            else:
                self._index.resize_index(self._nodes)


def _names(keys: F32) -> list[int]:
    """A 64-bit hash of each vector's cell."""
    cells = np.rint(keys * np.float32(CELLS)).astype(np.int64).view(np.uint64)
    names: list[int] = (cells * mix(np.arange(keys.shape[1], dtype=np.uint64))).sum(axis=1).tolist()
    return names
