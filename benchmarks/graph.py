"""Comparing a query with every vector against searching an HNSW graph of them, by how many there are.

    python -m benchmarks.graph              ml-1m, 5,000 to 40,000 vectors; table
    python -m benchmarks.graph --json FILE

Vectors are match keys of a real log with noise on each, so that no two are equal. This is what `PoolSpec.graph_nodes`
is settled by.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.live_queries import cpu_s
from benchmarks.pool import K, encoded_samples, without_sharing
from index.compared import Compared
from index.graph import Graph
from index.matches import Limits
from index.sight import Sight
from index.spec import PoolSpec
from index.table import SEEN
from wire.arrays import F32

NODES = (5_000, 10_000, 20_000, 40_000)
QUERIES = 250
AT_ONCE = (QUERIES, 1)
FEW = 100  # the other number of best that is asked for


def us_per_query(source: Callable[[slice], object], queries: int, at_once: int) -> float:
    """Microseconds of a core for each query, of which `source` answers some at once."""

    def ask() -> None:
        for at in range(0, queries, at_once):
            source(slice(at, at + at_once))

    ask()  # what is compiled at its first call is then
    return 1e6 * cpu_s(ask) / queries


def measure(keys: F32, queries: F32) -> dict[str, Any]:
    """Both ways over one set of vectors."""
    indexed = Graph(PoolSpec(graph_nodes=1))
    indexed.add(keys, np.arange(len(keys)))
    row: dict[str, Any] = {"nodes": len(keys), "link_s": cpu_s(indexed.link)}
    compared = Compared(keys.shape[1])
    compared.add(np.arange(len(keys)), keys)
    table = np.zeros(len(keys), SEEN)
    table["live"] = True
    q = len(queries)
    sight = Sight(table, 0, 2, Limits(np.ones(q, np.uint64), np.ones(q, np.int64)))
    for k in (FEW, K):
        ways: dict[str, Callable[[slice], object]] = {
            "hnsw": lambda at, k=k: indexed.fetch(queries[at], k),  # type: ignore[misc]
            "compared": lambda at, k=k: compared.best(queries[at], sight.take(at), k),  # type: ignore[misc]
        }
        for name, way in ways.items():
            row[f"{name}_{k}_us"] = [us_per_query(way, q, at_once) for at_once in AT_ONCE]
    return row


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default="ml-1m")
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keys = without_sharing(encoded_samples(options.log, max(NODES) + QUERIES)).match_key
    assert keys is not None
    rows = [measure(keys[:nodes], keys[-QUERIES:]) for nodes in NODES]
    print("\n".join(table(rows)))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The result for people."""
    kinds = [f"{name}_{k}_us" for k in (FEW, K) for name in ("hnsw", "compared")]
    lines = [f"µs of a core per query, {AT_ONCE[0]} at once and alone; seconds to link all"]
    lines.append(" ".join(["  nodes", *(f"{kind[:-3].replace('_', ' '):>14}" for kind in kinds), "  link s"]))
    for row in rows:
        times = (", ".join(f"{us:,.0f}" for us in row[kind]) for kind in kinds)
        lines.append(" ".join([f"{row['nodes']:>7,}", *(f"{each:>14}" for each in times), f"{row['link_s']:>8.1f}"]))
    return lines


if __name__ == "__main__":
    main()
