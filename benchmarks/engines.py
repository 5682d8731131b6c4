"""What plays a runbook: the pool, and beside it hnswlib, usearch and faiss, each on one thread.

All search by inner product of vectors of length 1. The others start from customary settings; where they miss vectors,
whoever measures raises their `effort`: hnswlib's ef, usearch's expansion_search, faiss' nprobe.
"""

import importlib
import importlib.util
from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path
from typing import Any, Protocol

import hnswlib
import numpy as np

from benchmarks.pool import upsert_all
from benchmarks.steps import Runbook
from index.fetched import NO_ROW
from index.pool import Pool
from index.spec import PoolSpec
from models.quorum import AGREE
from models.sample import SampleBlock
from wire.arrays import F32, I64
from wire.identity import ModelId
from wire.sample import HISTORY_LEN

NONE = -1  # where fewer vectors were found than asked for
STEP_MS = 1000  # event time from step to step
EXACT = 0  # the effort of what compares everything
FIRST_BEAM, MOST_BEAM = 100, 2_000  # ef: at least as many as are asked for; beyond, comparing all is cheaper
FIRST_LISTS = 4  # nprobe
LISTS, TRAINED = 4, 39  # lists are 4 √n of n vectors; k-means by 39 for each (faiss' guidelines)


class Engine(Protocol):
    """Vectors by number that come and leave, and are searched."""

    effort: int
    most_effort: int

    def insert(self, numbers: I64, vectors: F32) -> None:
        """Vectors (n, d) come."""
        ...

    def delete(self, numbers: I64) -> None:
        """Vectors leave."""
        ...

    def search(self, queries: F32, k: int) -> I64:
        """Numbers of about the k best for each query (q, d): (q, k), `NONE` where there are fewer."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes of memory, vectors included."""
        ...


class PoolEngine:
    """The pool: a vector is a sample that grows too old at the step at which the runbook deletes it.

    A pool's window is equally long for all, so a sample's event time is that step minus the window, which is as long as
    the longest life: what lives for a shorter time is older when it comes. What is deleted by the clock needs somebody
    who says what time it is: three samples of the other label, at each deletion.
    """

    effort = most_effort = EXACT

    def __init__(self, runbook: Runbook, vectors: F32, folder: Path, **settings: int) -> None:
        came, left, end = runbook.came(), runbook.left(), len(runbook.steps) + 1
        window = int((np.where(left > 0, left, end) - came).max())
        self._came, self._left, self._window_ms = came, left, window * STEP_MS
        self._samples = samples_of(vectors, np.where(left > 0, left * STEP_MS, self._at_ms(came)))
        self._now_ms, self._ticks = 0, 0
        spec = PoolSpec(
            key_dim=vectors.shape[1],
            window_age_ms=self._window_ms,
            window_count=runbook.most + AGREE * len(runbook.steps),
            **settings,
        )
        self._pool = Pool.open(folder / "pool", spec)

    def insert(self, numbers: I64, vectors: F32) -> None:  # noqa: ARG002
        """As blocks of a flow come, RocksDB included."""
        self._now_ms = int(self._at_ms(self._came[numbers[:1]])[0])
        upsert_all(self._pool, self._samples.take(numbers))

    def delete(self, numbers: I64) -> None:
        """Time comes to when they are too old."""
        self._now_ms = int(self._at_ms(self._left[numbers[:1]])[0])
        tick = self._samples.take(np.arange(AGREE))
        key = np.arange(AGREE, dtype=np.uint64) + np.uint64(len(self._samples) + 1)
        tick = replace(
            tick,
            sample=key + np.uint64(AGREE * self._ticks),
            user=key,
            label=np.ones(AGREE, np.uint8),
            timestamp=np.full(AGREE, self._now_ms),
        )
        upsert_all(self._pool, tick)
        self._ticks += 1

    def search(self, queries: F32, k: int) -> I64:
        """As a match asks: somebody who has no samples of their own, now."""
        q = len(queries)
        row = self._pool.search(queries, np.zeros(q, np.uint64), np.full(q, self._now_ms + 1), k).row[:, 0]
        table = self._pool.memory.table
        number = table.sample[np.maximum(table.at(row), 0)].astype(np.int64) - 1
        return np.where(row == NO_ROW, NONE, number)

    @property
    def nbytes(self) -> int:
        """Of everything in memory, users, items and logits included; its disk is not."""
        return self._pool.memory.nbytes()

    def _at_ms(self, step: I64) -> I64:
        return step * STEP_MS + self._window_ms


def samples_of(vectors: F32, timestamp: I64) -> SampleBlock:
    """Vectors as encoded samples of label 0, of one user each, with histories that nothing compresses."""
    n, rng = len(vectors), np.random.default_rng(0)
    key, history = np.arange(1, n + 1, dtype=np.uint64), rng.integers(1, 2**32, (2, n, HISTORY_LEN), np.uint32)
    return SampleBlock(
        sample=key,
        user=key,
        item=history[0, :, 0],
        category=history[1, :, 0],
        label=np.zeros(n, np.uint8),
        times=np.zeros(n, np.uint8),
        timestamp=timestamp,
        produced_ms=timestamp,
        history_item=history[0],
        history_category=history[1],
        base=np.zeros(n, np.float32),
    ).with_encoding(np.zeros(n, np.float32), vectors, ModelId("", 1))


class Hnswlib:
    """An HNSW graph, of the pool's own M and efConstruction; what is deleted is marked, and its place taken again."""

    effort, most_effort = FIRST_BEAM, MOST_BEAM

    def __init__(self, runbook: Runbook, vectors: F32, folder: Path, **settings: int) -> None:  # noqa: ARG002
        spec = PoolSpec(**settings)
        self._index = hnswlib.Index(space="ip", dim=vectors.shape[1])
        self._index.init_index(
            runbook.most, M=spec.links, ef_construction=spec.build_beam, allow_replace_deleted=True, random_seed=0
        )

    def insert(self, numbers: I64, vectors: F32) -> None:
        """In the places of deleted ones, while there are any."""
        self._index.add_items(vectors, numbers, num_threads=1, replace_deleted=True)

    def delete(self, numbers: I64) -> None:
        """Mark them."""
        for number in numbers.tolist():
            self._index.mark_deleted(number)

    def search(self, queries: F32, k: int) -> I64:
        """By a beam of `effort`; nothing at all where it reaches fewer than k."""
        self._index.set_ef(max(self.effort, k))
        try:
            found = self._index.knn_query(queries, k, num_threads=1)[0]
        except RuntimeError:
            return np.full((len(queries), k), NONE)
        numbers: I64 = found.astype(np.int64)
        return numbers

    @property
    def nbytes(self) -> int:
        """As saved."""
        return int(self._index.index_file_size())


class Usearch:
    """An HNSW graph, of usearch's own settings, vectors in float32."""

    effort, most_effort = FIRST_BEAM, MOST_BEAM

    def __init__(
        self,
        runbook: Runbook,  # noqa: ARG002
        vectors: F32,
        folder: Path,  # noqa: ARG002
        *,
        connectivity: int = 16,
        expansion_add: int = 128,
    ) -> None:
        self._index: Any = importlib.import_module("usearch.index").Index(
            ndim=vectors.shape[1], metric="ip", dtype="f32", connectivity=connectivity, expansion_add=expansion_add
        )

    def insert(self, numbers: I64, vectors: F32) -> None:
        """In the places of removed ones, while there are any."""
        self._index.add(numbers.astype(np.uint64), vectors, threads=1)

    def delete(self, numbers: I64) -> None:
        """Remove them."""
        self._index.remove(numbers.astype(np.uint64), threads=1)

    def search(self, queries: F32, k: int) -> I64:
        """By a beam of `effort`."""
        self._index.expansion_search = max(self.effort, k)
        found, out = self._index.search(queries, k, threads=1), np.full((len(queries), k), NONE)
        for at, matches in enumerate(found if len(queries) > 1 else [found]):
            out[at, : len(matches)] = matches.keys
        return out

    @property
    def nbytes(self) -> int:
        """What it has allocated, in steps that double."""
        return int(self._index.memory_usage)


class FaissLists:
    """IndexIVFFlat, whose numbers are in a hash table so that a deletion looks through no list: of faiss' indexes those
    of HNSW cannot delete. Its lists are made by the first vectors of the runbook, and that counts as upserts."""

    effort = FIRST_LISTS

    def __init__(self, runbook: Runbook, vectors: F32, folder: Path) -> None:  # noqa: ARG002
        self._faiss = faiss = _faiss()
        self.most_effort = min(LISTS * isqrt(runbook.most), max(1, len(vectors) // TRAINED))
        self._first = vectors[: TRAINED * self.most_effort]
        dim = vectors.shape[1]
        self._coarse = faiss.IndexFlatIP(dim)
        self._index = faiss.IndexIVFFlat(self._coarse, dim, self.most_effort, faiss.METRIC_INNER_PRODUCT)
        self._index.set_direct_map_type(faiss.DirectMap.Hashtable)

    def insert(self, numbers: I64, vectors: F32) -> None:
        """Into the list whose centre is nearest."""
        if not self._index.is_trained:
            self._index.train(self._first)
        self._index.add_with_ids(vectors, numbers)

    def delete(self, numbers: I64) -> None:
        """Remove them, by the hash table."""
        self._index.remove_ids(self._faiss.IDSelectorArray(numbers))

    def search(self, queries: F32, k: int) -> I64:
        """In the `effort` nearest lists."""
        self._index.nprobe = self.effort
        numbers: I64 = self._index.search(queries, k)[1]
        return numbers

    @property
    def nbytes(self) -> int:
        """As saved."""
        return int(self._faiss.serialize_index(self._index).nbytes)


class FaissFlat:
    """IndexFlatIP with numbers: compares everything, as the pool does."""

    effort = most_effort = EXACT

    def __init__(self, runbook: Runbook, vectors: F32, folder: Path) -> None:  # noqa: ARG002
        self._faiss = _faiss()
        self._index = self._faiss.IndexIDMap(self._faiss.IndexFlatIP(vectors.shape[1]))

    def insert(self, numbers: I64, vectors: F32) -> None:
        """At the end."""
        self._index.add_with_ids(vectors, numbers)

    def delete(self, numbers: I64) -> None:
        """All behind them move up."""
        self._index.remove_ids(numbers)

    def search(self, queries: F32, k: int) -> I64:
        """All are compared."""
        numbers: I64 = self._index.search(queries, k)[1]
        return numbers

    @property
    def nbytes(self) -> int:
        """As saved."""
        return int(self._faiss.serialize_index(self._index).nbytes)


def _faiss() -> Any:
    faiss = importlib.import_module("faiss")
    faiss.omp_set_num_threads(1)
    return faiss


@dataclass(frozen=True)
class Arm:
    """One engine with its settings, and the package beside the project's own that it needs."""

    engine: Any
    settings: dict[str, int]
    module: str = ""

    @property
    def installed(self) -> bool:
        """Whether it can be played."""
        return not self.module or importlib.util.find_spec(self.module) is not None

    def start(self, runbook: Runbook, vectors: F32, folder: Path) -> Engine:
        """The engine, empty."""
        engine: Engine = self.engine(runbook, vectors, folder, **self.settings)
        return engine


ARMS = {
    "pool": Arm(PoolEngine, {}),
    "pool, all in graphs": Arm(PoolEngine, {"graph_nodes": 1, "search_beam": 400}),
    "hnswlib": Arm(Hnswlib, {}),
    "hnswlib, 32 links": Arm(Hnswlib, {"links": 32, "build_beam": 200}),
    "usearch": Arm(Usearch, {}, "usearch"),
    "usearch, 32 links": Arm(Usearch, {"connectivity": 32, "expansion_add": 256}, "usearch"),
    "faiss IVFFlat": Arm(FaissLists, {}, "faiss"),
    "faiss Flat": Arm(FaissFlat, {}, "faiss"),
}
