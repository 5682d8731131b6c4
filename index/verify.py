"""Check a pool: is memory what is on disk, and do the graphs find what an exact search finds?"""

import msgspec
import numpy as np

from index.graph import CELLS
from index.matches import LABELS
from index.pool import Pool, time_slack_ms
from models.sample import SampleBlock
from wire.arrays import F32, F64, Bool

TIE = 1e-6  # scores closer than this are equal: graph and matrix product round differently
COMPARED = ("sample", "timestamp", "user", "item", "category", "label")


class Verification(msgspec.Struct, frozen=True):
    """What a check found. `recall` is of `k` per label, `found_themselves` the share of rows that come back first
    when searched by their own vector; both over `queries` random rows of the pool."""

    rows_on_disk: int
    rows_in_memory: int
    rows_that_differ: int
    rows_in_graphs: int
    queries: int
    k: int
    recall: float
    found_themselves: float

    @property
    def consistent(self) -> bool:
        """Whether memory holds what is on disk."""
        return self.rows_on_disk == self.rows_in_memory and self.rows_that_differ == 0


def verify(pool: Pool, queries: int, k: int, seed: int) -> Verification:
    """Compare a pool's memory with its disk row by row, and its graphs with an exact search."""
    on_disk, differ = _compare(pool)
    memory, table = pool.memory, pool.memory.table
    rows = memory.window()
    drawn = np.random.default_rng(seed).choice(rows, min(queries, len(rows)), replace=False)
    at = table.at(drawn)
    keys, now = memory.vectors(drawn), pool.store.state.time.now + time_slack_ms(pool.spec)
    just_after = np.maximum(table.timestamp[at], now) + 1
    asked = keys, table.user[at], just_after, k
    recall = recall_of(pool.search(*asked).score, pool.search_exactly(*asked).score)
    nobody = np.zeros(len(at), np.uint64)  # no user has key 0, so a row may find itself
    first = pool.search(keys, nobody, just_after, 1).score[np.arange(len(at)), table.label[at].astype(np.int64), 0]
    found = first >= (keys * keys).sum(axis=1) - TIE
    return Verification(
        rows_on_disk=on_disk,
        rows_in_memory=len(pool),
        rows_that_differ=differ,
        rows_in_graphs=memory.in_graphs(),
        queries=len(drawn),
        k=k,
        recall=recall,
        found_themselves=float(found.mean()) if len(found) else 1.0,
    )


def recall_of(found: F64, exact: F64) -> float:
    """The share of an exact search's rows (scores (q, 2, k), -inf where none) that were found; ties count."""
    wanted = ~np.isneginf(exact)
    worst = np.where(wanted, exact, np.inf).min(axis=2, keepdims=True)
    hits = np.minimum((found >= worst - TIE).sum(axis=2), wanted.sum(axis=2))
    return float(hits.sum() / wanted.sum()) if wanted.any() else 1.0


def _compare(pool: Pool) -> tuple[int, int]:
    """Rows on disk, and how many of them memory lacks or has otherwise."""
    table, rows = pool.memory.table, pool.memory.window()
    done = differ = 0
    for block in pool.store.read():
        mine = table.at(rows[done : done + len(block)])
        missing = len(block) - len(mine)
        theirs = block.take(slice(0, len(mine)))
        unequal = [getattr(theirs, name) != getattr(table, name)[mine] for name in COMPARED]
        unequal.append(_apart(theirs, pool.memory.vectors(rows[done : done + len(block)])))
        differ += missing + int(np.any(unequal, axis=0).sum())
        done += len(block)
    return done, differ


def _apart(block: SampleBlock, vectors: F32) -> Bool:
    """Which match keys (n,) are not in one cell with these."""
    assert block.match_key is not None, "what is on disk is encoded"
    apart: Bool = (np.abs(block.match_key - vectors) * CELLS > 1).any(axis=1)
    return apart


def stats(pool: Pool) -> dict[str, object]:
    """A pool in numbers, for people and for JSON."""
    memory, table, state = pool.memory, pool.memory.table, pool.store.state
    at = table.at(memory.window())
    return {
        "path": str(pool.store.path),
        "samples": len(pool),
        "samples_by_label": {str(label): int((table.label[at] == label).sum()) for label in LABELS},
        "users": len(np.unique(table.user[at])),
        "model_lineage": state.model.lineage,
        "model_version": state.model.version,
        "model_digest": state.model.digest,
        "oldest_timestamp": int(table.timestamp[at[0]]) if len(at) else None,
        "newest_timestamp": int(table.timestamp[at[-1]]) if len(at) else None,
        "window_count": pool.spec.window_count,
        "window_age_ms": pool.spec.window_age_ms,
        "disk_bytes": pool.store.disk_bytes(),
        "memory_bytes": memory.nbytes(),
    }
