"""Queries as they come live: one at a time beside raw hnswlib, and how long they take while samples come.

How long a query takes while samples come is reckoned in CPU seconds: pool and queries share one thread, so a query
that is due while samples are taken in waits for them.
"""

import time
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from statistics import quantiles

import hnswlib
import numpy as np

from index.matches import LABELS
from index.pool import Pool
from models.sample import SampleBlock
from wire.arrays import F32

QUERIES = 500
AT_ONCE = 64
UPSERTS_A_S, UPSERT_ROWS = 500, 20
QUERIES_A_S, SECONDS = 50, 8
COMING = UPSERTS_A_S * SECONDS  # samples that are taken in


def cpu_s(act: Callable[[], object]) -> float:
    """CPU seconds of this process for one call."""
    began = time.process_time()
    act()
    return time.process_time() - began


def live_queries(pool: Pool, coming: SampleBlock, k: int) -> dict[str, float]:
    """All figures of a pool that is full: users ask who act next, and their samples come."""
    return {
        "alone_per_core_s": QUERIES / sum(asked(pool, coming, k, at_once=1)),
        "together_per_core_s": QUERIES / sum(asked(pool, coming, k, at_once=AT_ONCE)),
        "hnswlib_alone_per_core_s": QUERIES / hnswlib_s(pool, coming, k),
        "p99_idle_ms": 1e3 * p99(waits(pool, coming, k, upserts=False)),
        "p99_under_upserts_ms": 1e3 * p99(waits(pool, coming, k, upserts=True)),
    }


def query(pool: Pool, coming: SampleBlock, at: slice, k: int) -> None:
    """Ask for those who act next."""
    some = coming.take(at)
    assert some.match_key is not None
    pool.search(some.match_key, some.user, np.full(len(some), coming.timestamp[-1] + 1), k)


def asked(pool: Pool, coming: SampleBlock, k: int, *, at_once: int) -> list[float]:
    """CPU seconds of each call."""
    query(pool, coming, slice(0, at_once), k)
    parts = (slice(at, min(at + at_once, QUERIES)) for at in range(0, QUERIES, at_once))
    return [cpu_s(partial(query, pool, coming, part, k)) for part in parts]


def hnswlib_s(pool: Pool, coming: SampleBlock, k: int) -> float:
    """CPU seconds of raw hnswlib for the same queries one at a time: no limits, nobody's own samples left out."""
    memory, keys = pool.memory, coming.match_key
    assert keys is not None
    rows = memory.window()
    label = memory.table.label[memory.table.at(rows)]
    indexes = [_index(pool, memory.vectors(rows[label == which]), k) for which in LABELS]
    return cpu_s(lambda: [index.knn_query(key, k, num_threads=1) for key in keys[:QUERIES] for index in indexes])


def _index(pool: Pool, keys: F32, k: int) -> hnswlib.Index:
    index = hnswlib.Index(space="ip", dim=keys.shape[1])
    index.init_index(len(keys), M=pool.spec.links, ef_construction=pool.spec.build_beam)
    index.add_items(keys, num_threads=1)
    index.set_ef(k)
    return index


def waits(pool: Pool, coming: SampleBlock, k: int, *, upserts: bool) -> list[float]:
    """Seconds from when each query is due until it is answered."""
    due = np.random.default_rng(0).uniform(0, SECONDS, QUERIES_A_S * SECONDS)
    queries = [(moment, partial(query, pool, coming, slice(n, n + 1), k)) for n, moment in enumerate(due)]
    parts = np.arange(COMING if upserts else 0).reshape(-1, UPSERT_ROWS)
    work: list[tuple[float, Callable[[], object]]] = [
        *queries,
        *((rows[0] / UPSERTS_A_S, partial(pool.upsert, coming.take(rows))) for rows in parts),
    ]
    asking, now, waited = {moment for moment, _ in queries}, 0.0, []
    for moment, act in sorted(work, key=itemgetter(0)):
        now = max(now, moment) + cpu_s(act)
        if moment in asking:
            waited.append(now - moment)
    return waited


def p99(seconds: list[float]) -> float:
    """The 99th percentile."""
    return float(quantiles(seconds, n=100)[98])
