"""The pool by how many samples are live: upserts, queries one at a time, memory, how soon it answers after a restart.

    python -m benchmarks.pool_sizes                              ml-1m, 10,000 to 1,000,000 live; table
    python -m benchmarks.pool_sizes --live 1000000 --json FILE
    python -m benchmarks.pool_sizes --plot FILE.png              p50 and p99 of a query over the live samples

Samples are those of `benchmarks.pool`, as logged and with noise on every vector; once the log has ended it comes again,
later and with other users. The pool has the settings of a flow's, but for its window. Each size has a process of its
own, so memory is what that grew by while the pool was filled and turned over, RocksDB's included, and beside it what
the pool says of itself. Times are CPU seconds, but for the restart's: its wall clock runs from before the pool is
opened until the first query is answered.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks.live_queries import cpu_s
from benchmarks.own_process import Growth, in_own_process
from benchmarks.pool import BLOCK, INITIAL, K, encoded_samples, load_samples, without_sharing
from index.pool import Pool
from index.spec import PoolSpec
from index.verify import recall_of
from models.sample import SampleBlock
from monitor.plots import STYLE
from wire.ids import mix

LIVE = (10_000, 50_000, 200_000, 1_000_000)
MOST = 1_000_000 - INITIAL  # samples of ml-1m after its initial part
TURNED = 4  # a fourth of the window leaves
QUERIES, CHECKED = 300, 50
TARGETS = {"upserts_per_core_s": 20_000, "queries_per_core_s": 300, "bytes_per_sample": 700, "restart_s": 30}


def endless(block: SampleBlock) -> Iterator[SampleBlock]:
    """Blocks as a flow would upsert them; after the last sample the log comes again, later and with other users."""
    span, turn = int(block.timestamp[-1] - block.timestamp[0]) + 1, 0
    while True:
        for at in range(0, len(block), BLOCK):
            part = block.take(slice(at, at + BLOCK))
            yield replace(
                part,
                sample=part.sample if turn == 0 else mix(part.sample + np.uint64(turn)),
                user=part.user + np.uint64(turn),
                timestamp=part.timestamp + turn * span,
            )
        turn += 1


def upsert_all(pool: Pool, blocks: Iterator[SampleBlock]) -> float:
    """CPU seconds."""
    spent = 0.0
    for block in blocks:
        spent += cpu_s(partial(pool.upsert, block))
    return spent


def measure(block: SampleBlock, live: int) -> dict[str, float]:
    """Everything about one size, in the process that asks."""
    spec, coming = PoolSpec(window_count=live, window_age_ms=10**15), endless(block)
    with tempfile.TemporaryDirectory() as folder:
        path, growth = Path(folder) / "pool", Growth()
        with Pool.open(path, spec) as pool:
            filling = upsert_all(pool, islice(coming, live // BLOCK))
            turned = max(live // TURNED // BLOCK, 1)
            turning = upsert_all(pool, islice(coming, turned))
            figures = {
                "live": len(pool),
                "upserts_filling_per_core_s": live / filling,
                "upserts_per_core_s": turned * BLOCK / turning,
                "bytes_per_sample": pool.memory.nbytes() / len(pool),
                "resident_bytes_per_sample": growth.bytes / len(pool),
            }
            asking = SampleBlock.concat(list(islice(coming, 1 + QUERIES // BLOCK))).take(slice(0, QUERIES))
            figures |= asked(pool, asking)
        return {**figures, **restarted(path, asking)}


def asked(pool: Pool, asking: SampleBlock) -> dict[str, float]:
    """Speed and recall for those who act next."""
    ask(pool, asking, slice(0, 1))
    spent_ms = 1e3 * np.array([cpu_s(partial(ask, pool, asking, slice(n, n + 1))) for n in range(QUERIES)])
    return {
        "queries_per_core_s": 1e3 / float(spent_ms.mean()),
        "p50_ms": float(np.quantile(spent_ms, 0.5)),
        "p99_ms": float(np.quantile(spent_ms, 0.99)),
        "recall": recall_of(
            ask(pool, asking, slice(0, CHECKED)).score, ask(pool, asking, slice(0, CHECKED), exactly=True).score
        ),
    }


def ask(pool: Pool, asking: SampleBlock, at: slice, *, exactly: bool = False) -> Any:
    """The best `K` of each label for those of `asking`."""
    some = asking.take(at)
    assert some.match_key is not None
    search = pool.search_exactly if exactly else pool.search
    return search(some.match_key, some.user, np.full(len(some), asking.timestamp[-1] + 1), K)


def restarted(path: Path, asking: SampleBlock) -> dict[str, float]:
    """How long it takes until a pool that was closed answers."""
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    with Pool.open(path) as pool:
        ask(pool, asking, slice(0, 1))
        return {"restart_s": time.monotonic() - began_s, "restart_cpu_s": time.process_time() - began_cpu_s}


def table(kind: str, rows: Sequence[dict[str, float]]) -> list[str]:
    """The result for people."""
    columns = {
        "live": "live",
        "upserts_filling_per_core_s": "upserts filling",
        "upserts_per_core_s": "upserts full",
        "queries_per_core_s": "queries alone",
        "p50_ms": "p50 ms",
        "p99_ms": "p99 ms",
        "recall": "recall",
        "bytes_per_sample": "bytes",
        "resident_bytes_per_sample": "resident",
        "restart_s": "restart s",
        "restart_cpu_s": "CPU s",
    }
    lines = ["", f"{kind}; per core-second, the best {K} of each label; bytes per live sample"]
    lines.append("  ".join(columns.values()))
    for row in rows:
        cells = [f"{row[name]:,.{_decimals(name)}f}".rjust(len(title)) for name, title in columns.items()]
        lines.append("  ".join(cells))
    targets = (f"{name.replace('_', ' ')} {target:,}" for name, target in TARGETS.items())
    return [*lines, f"targets at 1,000,000: {', '.join(targets)}"]


def _decimals(name: str) -> int:
    return {"recall": 4, "p50_ms": 2, "p99_ms": 2, "restart_s": 1, "restart_cpu_s": 1}.get(name, 0)


def plot(result: dict[str, list[dict[str, float]]], path: Path) -> None:
    """p50 and p99 of a query over the live samples."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for colour, (kind, rows) in zip(("C0", "C1"), result.items(), strict=False):
            for name, style in (("p50_ms", "-"), ("p99_ms", ":")):
                label = f"{name.removesuffix('_ms')}, {kind}"
                values = [row[name] for row in rows]
                axes.plot([row["live"] for row in rows], values, style, color=colour, marker=".", label=label)
        axes.set(xscale="log", yscale="log", xlabel="live samples", title=f"CPU ms of a query, best {K} of each label")
        figure.legend(loc="outside right upper", fontsize=8)
        figure.savefig(path, dpi=140)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default="ml-1m")
    parser.add_argument("--live", type=int, nargs="+", default=list(LIVE))
    parser.add_argument("--plot", type=Path, help="draw p50 and p99 here")
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    there = len(load_samples(options.log, INITIAL + MOST)) - INITIAL
    block = encoded_samples(options.log, min(there, 2 * max(options.live)))
    result = {}
    for kind, samples in {"as logged": block, "nothing shared": without_sharing(block)}.items():
        rows = []
        for live in sorted(options.live):
            rows.append(in_own_process(partial(measure, samples, live)))
            print(json.dumps(rows[-1]), flush=True)
        result[kind] = rows
        print("\n".join(table(kind, rows)), flush=True)
    if options.plot:
        plot(result, options.plot)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
