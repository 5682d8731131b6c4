"""What a match costs where the pool is in several shards: in each of them, and to make one batch of their answers.

    python -m benchmarks.shards                     ml-1m, 200,000 live samples, 1 to 16 shards; table
    python -m benchmarks.shards --live 50000 --json FILE

Samples are those of `benchmarks.pool`, each in its shard as `operators.shard.route` says; those ask who act next, for
the best and as many random samples, one at a time and 64 at once. Each shard looks for its share
(`index.scored.share`), and for comparison for a whole batch. Batches are compared with what one shard finds by itself.
Times are CPU seconds, medians of five, shard by shard in one process.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch

from benchmarks.live_queries import AT_ONCE, cpu_s
from benchmarks.pool import K, encoded_samples, upsert_all
from index.pool import Pool
from index.scored import Scored, best_of, share
from index.spec import PoolSpec
from models.sample import SampleBlock

SHARDS = (1, 2, 4, 8, 16)
QUERIES = 320  # five times 64
TURNS = 5
HEAD = (
    f"µs of a core for a match of {K} of each label, as many random ones: in each shard, and to gather\n"
    f"{'':26}{'its share':^36}{f'all {K}':^24}\n"
    f"shards  each finds  {'alone':>10}{'64 at once':>14}{'gather':>10}{'64 at once':>14}{'gather':>10}  same batches"
)

Answers = list[tuple[Scored, Scored]]  # the best and the random ones of each query


@contextmanager
def sharded(live: SampleBlock, shards: int) -> Iterator[list[Pool]]:
    """The samples in so many shards."""
    with ExitStack() as opened:
        pools = []
        for shard in range(shards):
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
            pools.append(opened.enter_context(Pool.open(folder / "pool", PoolSpec(window_age_ms=10**15))))
            upsert_all(pools[-1], live.where(live.sample % np.uint64(shards) == shard))
        yield pools


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


def gathered(parts: Sequence[Answers]) -> Answers:
    """The answers of all shards as one batch for each query."""
    return [
        (best_of([best for best, _ in each], K), best_of([drawn for _, drawn in each], K))
        for each in zip(*parts, strict=True)
    ]


def cost(pools: Sequence[Pool], asking: SampleBlock, k: int, at_once: int) -> float:
    """µs of a core for a match in each shard, on the average."""
    return mean(_us(partial(answers, pool, asking, k, at_once), asking) for pool in pools)


def _us(act: Callable[[], object], asking: SampleBlock) -> float:
    return 1e6 * median(cpu_s(act) for _ in range(TURNS)) / len(asking)


def same(found: Answers, whole: Answers) -> float:
    """The share of all lists of candidates whose scores are those that one shard finds."""
    pairs = [both for one, other in zip(found, whole, strict=True) for both in zip(one, other, strict=True)]
    return mean(len(a) == len(b) and np.allclose(a.score, b.score, atol=1e-6) for a, b in pairs)


def measure(live: SampleBlock, asking: SampleBlock, shards: int) -> tuple[dict[str, Any], Answers]:
    """All figures of one number of shards, and what was found."""
    with sharded(live, shards) as pools:
        found = {k: [answers(pool, asking, k, AT_ONCE) for pool in pools] for k in (share(K, shards), K)}
        figures: dict[str, Any] = {"shards": shards, "share": share(K, shards)}
        figures["alone_us"] = cost(pools, asking, share(K, shards), 1)
        for what, k in ("share", share(K, shards)), ("all", K):
            figures[f"{what}_us"] = cost(pools, asking, k, AT_ONCE)
            figures[f"gather_{what}_us"] = _us(partial(gathered, found[k]), asking) if shards > 1 else 0.0
    return figures, gathered(found[share(K, shards)])


def line(row: dict[str, Any]) -> str:
    """One number of shards, for people."""
    told = [row[name] for name in ("alone_us", "share_us", "gather_share_us", "all_us", "gather_all_us")]
    times = "".join(f"{us:{width}.0f}" for us, width in zip(told, (10, 14, 10, 14, 10), strict=True))
    return f"{row['shards']:6}  {row['share']:10}  {times}{row['same']:14.2%}"


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
    print(HEAD)
    for shards in SHARDS:
        figures, found = measure(live, asking, shards)
        whole = whole or found
        rows.append({**figures, "same": same(found, whole)})
        print(line(rows[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
