"""What a match costs where the pool is in several shards: in each, in all, and to make one batch of their answers.

    python -m benchmarks.shards                     ml-1m, 200,000 live samples, 1 to 16 shards; table
    python -m benchmarks.shards --live 50000 --json FILE

Samples are those of `benchmarks.pool`, each in its shard as `operators.shard.route` says; those ask who act next, for
the best and as many random samples, one at a time and 64 at once. Each shard looks for its share
(`index.scored.share`); what one shard finds by itself is what batches are compared with. Times are CPU
seconds, medians of five, shard by shard in one process.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.live_queries import AT_ONCE, cpu_s
from benchmarks.pool import BLOCK, K, encoded_samples
from index.pool import Pool
from index.scored import Scored, best_of, share
from index.spec import PoolSpec
from models.sample import SampleBlock

SHARDS = (1, 2, 4, 8, 16)
QUERIES = 320  # five times 64
TURNS = 5

Answers = list[tuple[Scored, Scored]]  # the best and the random ones of each query


def answers(pool: Pool, asking: SampleBlock, k: int, at_once: int) -> Answers:
    """What a shard does for queries that come so many at once."""
    found: Answers = []
    for at in range(0, len(asking), at_once):
        some = asking.take(slice(at, at + at_once))
        limits = some.user, np.full(len(some), asking.timestamp[-1] + 1), k
        assert some.match_key is not None
        best = pool.scored(pool.search(some.match_key, *limits))
        found += zip(best, pool.scored(pool.sample_random(*limits, seed=0)), strict=True)
    return found


def merged(parts: Sequence[Answers]) -> Answers:
    """The answers of all shards as one."""
    return [
        (best_of([best for best, _ in each], K), best_of([drawn for _, drawn in each], K))
        for each in zip(*parts, strict=True)
    ]


def measure(live: SampleBlock, asking: SampleBlock, shards: int) -> tuple[dict[str, float], Answers]:
    """µs of a core for a match, and what was found."""
    spent = {"gather": 0.0}
    with ExitStack() as opened:
        pools = []
        for shard in range(shards):
            folder = opened.enter_context(tempfile.TemporaryDirectory())
            pool = opened.enter_context(Pool.open(Path(folder) / "pool", PoolSpec(window_age_ms=10**15)))
            mine = live.where(live.sample % np.uint64(shards) == shard)
            for at in range(0, len(mine), BLOCK):
                pool.upsert(mine.take(slice(at, at + BLOCK)))
            pools.append(pool)
        k = share(K, shards)
        for name, at_once in ("alone", 1), ("together", AT_ONCE):
            spent[name] = sum(_median_s(partial(answers, pool, asking, k, at_once)) for pool in pools)
        parts = [answers(pool, asking, k, AT_ONCE) for pool in pools]
    if shards > 1:
        spent["gather"] = _median_s(lambda: merged(parts))
    return {name: 1e6 * cpu / len(asking) for name, cpu in spent.items()}, merged(parts)


def _median_s(act: Callable[[], object]) -> float:
    return median(cpu_s(act) for _ in range(TURNS))


def alike(found: Answers, whole: Answers) -> float:
    """The share of all candidates whose scores are those that one shard finds."""
    pairs = [both for one, other in zip(found, whole, strict=True) for both in zip(one, other, strict=True)]
    return float(np.mean([np.isclose(mine.score, theirs.score, atol=1e-6).mean() for mine, theirs in pairs]))


def main() -> None:
    """Run as `python -m benchmarks.shards`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default="ml-1m")
    parser.add_argument("--live", type=int, default=200_000)
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    block = encoded_samples(options.log, options.live + QUERIES)
    live, asking = block.take(slice(0, options.live)), block.take(slice(options.live, None))
    rows: list[dict[str, Any]] = []
    whole: Answers = []
    for shards in SHARDS:
        spent, found = measure(live, asking, shards)
        whole = whole or found
        rows.append({"shards": shards, "share": share(K, shards), **spent, "alike": alike(found, whole)})
        print(line(rows[-1]) if shards > 1 else f"{HEAD}\n{line(rows[-1])}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


HEAD = (
    f"µs of a core for a match of {K} of each label, as many random\n"
    "shards   each finds   one at a time: all, each   64 at once: all, each   gather   as one shard finds"
)


def line(row: dict[str, Any]) -> str:
    """One number of shards, for people."""
    shards = row["shards"]
    times = "   ".join(f"{row[name]:8.0f} {row[name] / shards:8.0f}" for name in ("alone", "together"))
    return f"{shards:6} {row['share']:12} {times:>50} {row['gather']:8.0f} {row['alike']:12.2%}"


if __name__ == "__main__":
    main()
