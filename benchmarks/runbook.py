"""The pool on streaming runbooks of big-ann-benchmarks, beside raw hnswlib, usearch and faiss.

    python -m benchmarks.runbook                      a sliding window and an expiration runbook, 100,000 live; table
    python -m benchmarks.runbook --runbook FILE.yaml  one of big-ann-benchmarks' own, on the vectors at hand
    python -m benchmarks.runbook --runbook FILE.yaml --vectors BASE.fbin --queries QUERY.fbin

Without a file, runbooks are made by the rule that made big-ann-benchmarks' own (`benchmarks.steps`). Vectors are match
keys of a log after its initial part, in its order, with noise on each so that no two are equal, and as logged; queries
are the keys that come next. Those of a file are scaled to length 1: then inner product, cosine and distance say the
same. Answers are computed here, by comparing everything, not taken from a runbook's `gt_url`.

Each engine plays all steps alone, on one thread. Where it finds less than .99 of the best 100 at a search, its effort
is raised a quarter and that search asked anew, so that only what it took then counts; what was raised stays. CPU
seconds are those of the process, so RocksDB's threads count against the pool.

usearch and faiss: pip install -e '.[runbook]'
"""

import argparse
import gc
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.engines import ARMS, NONE, Arm, Engine
from benchmarks.live_queries import AT_ONCE, cpu_s
from benchmarks.pool import encoded_samples, without_sharing
from benchmarks.steps import Runbook, expiration, read_runbook, sliding_window
from index.verify import TIE
from models.signature import unit
from wire.arrays import F32, I64, Bool
from wire.errors import InputError

K = 100
QUERIES = AT_ONCE
TARGET = 0.99
RAISED = 1.25


@dataclass
class Played:
    """CPU seconds of one engine on one runbook, and what it found."""

    upserts: int = 0
    upsert_s: float = 0.0
    alone_s: list[float] = field(default_factory=list)  # of a query, at each search
    together_s: list[float] = field(default_factory=list)
    recall: list[float] = field(default_factory=list)

    def figures(self, engine: Engine, live: int) -> dict[str, float]:
        """For table and JSON."""
        return {
            "upserts_per_core_s": self.upserts / self.upsert_s,
            "alone_per_core_s": 1 / float(np.mean(self.alone_s)),
            "together_per_core_s": 1 / float(np.mean(self.together_s)),
            "least_recall": min(self.recall),
            "mean_recall": float(np.mean(self.recall)),
            "effort": engine.effort,
            "bytes_per_vector": engine.nbytes / live,
        }


def read_vectors(path: Path, rows: int) -> F32:
    """The first `rows` vectors of an `.fbin` file (uint32 n, uint32 d, then n · d float32), with length 1."""
    try:
        n, dim = np.fromfile(path, np.uint32, 2).tolist()
        if path.stat().st_size != 8 + 4 * n * dim:
            raise ValueError("its size is not that of the vectors that it says it has")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no .fbin file: {error}") from error
    if n < rows:
        raise InputError(f"{path} has {n:,} vectors, {rows:,} are needed: take a smaller runbook")
    vectors = np.fromfile(path, np.float32, rows * dim, offset=8).reshape(rows, dim)
    return unit(vectors)


def least_scores(runbook: Runbook, vectors: F32, queries: F32) -> list[F32]:
    """How good the last of the K best is for each query (q,), at each search."""
    least, live = [], np.zeros(len(vectors), np.bool_)
    for step in runbook.steps:
        live[step.deleted], live[step.inserted] = False, True
        if step.search:
            scores = queries @ vectors[live].T
            at = max(0, scores.shape[1] - K)
            least.append(np.partition(scores, at, axis=1)[:, at])
    return least


def recall_of(found: I64, least: F32, live: Bool, vectors: F32, queries: F32) -> float:
    """The share of the K best of those that are `live` (or of all, where there are fewer) that was found; ties count.

    `found` (q, K) as engines tell, `least` (q,) is how good the last of the K is.
    """
    score = np.vecdot(vectors[found], queries[:, None])
    good = (found != NONE) & live[found] & (score >= least[:, None] - TIE)
    hits = [len(set(row[counts].tolist())) for row, counts in zip(found, good, strict=True)]
    return float(np.minimum(hits, K).sum() / (len(queries) * min(K, int(live.sum()))))


def play(engine: Engine, runbook: Runbook, vectors: F32, queries: F32, least: list[F32]) -> Played:
    """All steps, one after the other."""
    played, live, searches = Played(), np.zeros(len(vectors), np.bool_), iter(least)
    for step in runbook.steps:
        if len(step.deleted):
            played.upsert_s += cpu_s(partial(engine.delete, step.deleted))
        if len(step.inserted):
            played.upsert_s += cpu_s(partial(engine.insert, step.inserted, vectors[step.inserted]))
        live[step.deleted], live[step.inserted] = False, True
        played.upserts += len(step.inserted)
        if step.search:
            recall = partial(recall_of, least=next(searches), live=live, vectors=vectors, queries=queries)
            ask(engine, queries, recall, played)
    return played


def ask(engine: Engine, queries: F32, recall: Callable[[I64], float], played: Played) -> None:
    """All queries, one at a time and many at a time, with as much effort as they need."""
    while True:
        found, spent = search(engine, queries, 1)
        if (reached := recall(found)) >= TARGET or engine.effort >= engine.most_effort:
            break
        engine.effort = min(ceil(RAISED * engine.effort), engine.most_effort)
    played.recall.append(reached)
    played.alone_s.append(spent)
    played.together_s.append(search(engine, queries, AT_ONCE)[1])


def search(engine: Engine, queries: F32, at_once: int) -> tuple[I64, float]:
    """Numbers found (q, K), and CPU seconds of a query."""
    parts: list[I64] = []

    def act() -> None:
        parts.extend(engine.search(queries[at : at + at_once], K) for at in range(0, len(queries), at_once))

    spent = cpu_s(act)
    return np.concatenate(parts), spent / len(queries)


def measure(runbook: Runbook, vectors: F32, queries: F32, arms: dict[str, Arm]) -> dict[str, dict[str, float]]:
    """The figures of each arm."""
    least, figures = least_scores(runbook, vectors, queries), {}
    live = sum(len(step.inserted) - len(step.deleted) for step in runbook.steps)
    for name, arm in arms.items():
        print(f"{runbook.name}: {name}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            engine = arm.start(runbook, vectors, Path(folder))
            figures[name] = play(engine, runbook, vectors, queries, least).figures(engine, live)
            del engine
            gc.collect()
    return figures


def vectors_of(options: argparse.Namespace, rows: int) -> dict[str, tuple[F32, F32]]:
    """Vectors (rows, d) and queries (q, d), by what they are."""
    if options.vectors:
        queries = read_vectors(options.queries, QUERIES)
        return {options.vectors.name: (read_vectors(options.vectors, rows), queries)}
    block = encoded_samples(options.log, rows + QUERIES)
    kinds = {"nothing shared": without_sharing(block).match_key, "as logged": block.match_key}
    return {kind: (keys[:rows], keys[rows : rows + QUERIES]) for kind, keys in kinds.items() if keys is not None}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runbook", type=Path, help="a runbook of big-ann-benchmarks; else two are made")
    parser.add_argument("--dataset", help="which data set of that runbook")
    parser.add_argument("--vectors", type=Path, help="an .fbin file; else match keys of --log")
    parser.add_argument("--queries", type=Path, help="an .fbin file of queries, with --vectors")
    parser.add_argument("--log", default="ml-1m")
    parser.add_argument("--live", type=int, default=100_000, help="of runbooks that are made")
    parser.add_argument("--batches", type=int, default=40, help="of runbooks that are made")
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        result = run(options)
    except InputError as error:
        sys.exit(str(error))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """All runbooks on all vectors; raises `InputError`."""
    if bool(options.vectors) != bool(options.queries):
        raise InputError("--vectors and --queries go together: give both, or neither for match keys of a log")
    if options.runbook:
        runbooks = [read_runbook(options.runbook, options.dataset)]
    else:
        runbooks = [sliding_window(options.live, options.batches), expiration(options.live, options.batches, seed=0)]
    for name, arm in ARMS.items():
        if not arm.installed:
            print(f"{name} is left out, {arm.module} is missing: pip install -e '.[runbook]'", file=sys.stderr)
    arms = {name: arm for name, arm in ARMS.items() if arm.installed}
    result = []
    for kind, (vectors, queries) in vectors_of(options, max(runbook.vectors for runbook in runbooks)).items():
        for runbook in runbooks:
            figures = measure(runbook, vectors[: runbook.vectors], queries, arms)
            result.append({"runbook": runbook.name, "vectors": kind, "most_live": runbook.most, "engines": figures})
            print("\n".join(table(runbook, kind, figures)), flush=True)
    return result


def table(runbook: Runbook, kind: str, figures: dict[str, dict[str, float]]) -> list[str]:
    """The result for people."""
    searches = sum(step.search for step in runbook.steps)
    return [
        "",
        f"{runbook.name}, {kind}: {runbook.vectors:,} vectors in {len(runbook.steps)} steps, {runbook.most:,} live at "
        f"most, {searches} searches; per core-second",
        f"{'':<20}  upserts  queries alone  {AT_ONCE} at once  least recall@{K}  mean    effort  bytes",
        *(
            f"{name:<20}  {row['upserts_per_core_s']:>7,.0f}  {row['alone_per_core_s']:>13,.0f}"
            f"  {row['together_per_core_s']:>10,.0f}  {row['least_recall']:>16.4f}  {row['mean_recall']:.4f}"
            f"  {row['effort'] or '–':>6}  {row['bytes_per_vector']:>5,.0f}"
            for name, row in figures.items()
        ),
    ]


if __name__ == "__main__":
    main()
