"""The pool on a real log: upserts against raw hnswlib, recall and queries after full turnovers and after a new cloud
model, bytes per sample.

    python -m benchmarks.pool            ml-1m, 50,000 live samples, 5 turnovers; table
    python -m benchmarks.pool --json

Vectors are the match keys of a cloud model that is trained on the log's initial part; samples come in the log's order.
The reference builds fresh hnswlib indexes over the same samples in the same run: one per segment and label like the
pool's, same M and efConstruction, one thread, one `add_items` call each. Times are CPU seconds of the process, so
RocksDB's own threads count against the pool. Queries are the users who act next, asking just after the last sample.

In a real log, samples with the same history share a vector, and the pool makes one node of them. So everything is
measured a second time with noise on every vector, where nothing can be shared; and a third time with every segment in
graphs, which the pool makes only of more than `PoolSpec.graph_nodes` vectors.
"""

import argparse
import cProfile
import json
import platform
import pstats
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import hnswlib
import msgspec
import numpy as np
import torch

from benchmarks.live_queries import AT_ONCE, COMING, QUERIES_A_S, UPSERTS_A_S, cpu_s, live_queries
from index.matches import LABELS
from index.pool import Pool
from index.search import Effort
from index.shadow import Encode
from index.spec import PoolSpec
from index.verify import recall_of
from models.cloud_trainer import train_first
from models.sample import SampleBlock
from streams.logs.data import get_log, log_named
from streams.logs.event_log import load_log
from streams.logs.initial_part import samples_of

INITIAL = 60_000  # samples that the cloud model is trained on
TURNOVERS = 5
BLOCK = 500  # samples per upsert: half a second at 1,000 events/s
QUERIES = 1_000
PASSES, PASS_ROWS, PASS_QUERIES = 200, 20, 2  # of a dataflow at 1,000 events/s: each takes samples in and then answers
K = 800  # of each label, as a match asks
NOISE = 1e-3  # per component: moves a key by .01, where one more item in a history moves it by .3 and more


def load_samples(name: str, rows: int) -> SampleBlock:
    """The first `rows` events of a log as samples with strictly earlier histories."""
    return samples_of(load_log(get_log(log_named(name), _say)).head(rows))


def encoded_samples(name: str, rows: int) -> SampleBlock:
    """The log after its initial part, on which a cloud model was trained, encoded by that."""
    block = load_samples(name, INITIAL + rows)
    if len(block) < INITIAL + rows:
        sys.exit(f"{name} has {len(block):,} events, {INITIAL + rows:,} are needed: use a smaller --live")
    model = train_first([block.take(slice(0, INITIAL))], seed=0)
    return model.encode_block(block.take(slice(INITIAL, None)))


def without_sharing(block: SampleBlock) -> SampleBlock:
    """The same samples with noise on every match key, so that no two are equal."""
    assert block.match_key is not None and block.logit is not None
    noise = np.random.default_rng(0).normal(0, NOISE, block.match_key.shape)
    noisy = block.match_key + noise.astype(np.float32)
    return block.with_encoding(block.logit, noisy / np.linalg.norm(noisy, axis=1, keepdims=True), block.model)


def next_version(encoded: SampleBlock) -> Encode:
    """Gives samples the vectors that they have in `encoded`, as if another cloud model had made them."""
    assert encoded.match_key is not None and encoded.logit is not None
    logit, match_key, order = encoded.logit, encoded.match_key, np.argsort(encoded.sample)
    model = msgspec.structs.replace(encoded.model, version=encoded.model.version + 1)

    def encode(block: SampleBlock) -> SampleBlock:
        rows = order[np.searchsorted(encoded.sample, block.sample, sorter=order)]
        return block.with_encoding(logit[rows], match_key[rows], model)

    return encode


def upsert_all(pool: Pool, block: SampleBlock) -> None:
    """What a flow does, block by block; `link` is what each block's first query would pay for it."""
    for at in range(0, len(block), BLOCK):
        result = pool.upsert(block.take(slice(at, at + BLOCK)))
        pool.memory.link()
        assert result.inserted.all(), result.refused()


def raw_adds(block: SampleBlock, spec: PoolSpec) -> None:
    """The reference: the same samples into fresh indexes."""
    assert block.match_key is not None
    for at in range(0, len(block), spec.segment_rows):
        segment = slice(at, at + spec.segment_rows)
        for label in LABELS:
            keys = block.match_key[segment][block.label[segment] == label]
            index = hnswlib.Index(space="ip", dim=spec.key_dim)
            index.init_index(len(keys), M=spec.links, ef_construction=spec.build_beam)
            index.add_items(keys, np.arange(len(keys)), num_threads=1)


def ask(pool: Pool, block: SampleBlock, last: int) -> dict[str, float]:
    """Recall and speed for the users who act after sample `last`."""
    assert block.match_key is not None
    rows = last + np.random.default_rng(last).permutation(5 * QUERIES)[:QUERIES]
    asked = block.match_key[rows], block.user[rows], np.full(QUERIES, block.timestamp[last - 1] + 1), K
    pool.memory.effort = Effort()
    found, exact = pool.search(*asked), pool.search_exactly(*asked)
    effort = pool.memory.effort
    return {
        "recall": recall_of(found.score, exact.score),
        "queries_per_core_s": QUERIES / cpu_s(lambda: pool.search(*asked)),
        "exact_queries_per_core_s": QUERIES / cpu_s(lambda: pool.search_exactly(*asked)),
        "random_per_core_s": QUERIES / cpu_s(lambda: pool.sample_random(*asked[1:], seed=0)),
        "searched_exactly_after_all": effort.exact / max(effort.fetches, 1),
    }


def pass_by_pass(pool: Pool, block: SampleBlock) -> dict[str, float]:
    """CPU µs of a pass as it runs live: queries come few at a time, each time after a few samples that came."""
    assert block.match_key is not None
    spent: dict[str, list[float]] = {"upsert": [], "nearest": [], "random": []}
    for at in range(0, PASSES * PASS_ROWS, PASS_ROWS):
        part = block.take(slice(at, at + PASS_ROWS))
        keys, users = block.match_key[at : at + PASS_QUERIES], block.user[at : at + PASS_QUERIES]
        limits = users, np.full(PASS_QUERIES, part.timestamp[-1] + 1), K
        spent["upsert"].append(cpu_s(partial(pool.upsert, part)))
        spent["nearest"].append(cpu_s(partial(pool.search, keys, *limits)))
        spent["random"].append(cpu_s(partial(pool.sample_random, *limits, seed=0)))
    return {what: 1e6 * median(each) for what, each in spent.items()}


def turn_over(pool: Pool, block: SampleBlock, live: int) -> list[dict[str, float]]:
    """Fill the window, then turn it over; one row of figures each."""
    rows = []
    for turn in range(1 + TURNOVERS):
        part = block.take(slice(turn * live, (turn + 1) * live))
        reference, ours = cpu_s(partial(raw_adds, part, pool.spec)), cpu_s(partial(upsert_all, pool, part))
        figures = {
            "upserts_per_core_s": live / ours,
            "raw_adds_per_core_s": live / reference,
            "ratio": reference / ours,
        }
        rows.append({"turnover": turn, **figures, **ask(pool, block, (turn + 1) * live)})
        assert len(pool) == live
    return rows


def after_new_model(pool: Pool, encode: Encode, block: SampleBlock, last: int) -> dict[str, float]:
    """What re-encoding costs without the cloud model's part, and how fast queries are right after it."""
    spent = cpu_s(lambda: pool.reencode(encode))
    return {"reencode_us_per_sample": 1e6 * spent / len(pool), **ask(pool, block, last)}


def sizes(pool: Pool) -> dict[str, float]:
    """Bytes per live sample."""
    on_disk_now = pool.store.disk_bytes()
    pool.store.evict()
    pool.store.flush()
    graphs = [graph for segment in pool.memory.segments for graph in segment.graphs.values()]
    return {
        "memory_bytes_per_sample": pool.memory.nbytes() / len(pool),
        "disk_bytes_per_sample_running": on_disk_now / len(pool),
        "distinct_vectors_share": sum(g.nodes for g in graphs) / max(1, sum(map(len, graphs))),
    }


def profile(act: Callable[[], object]) -> list[tuple[str, float]]:
    """The functions that a call spent most of its time in itself, with their shares; Python's overhead included."""
    profiler = cProfile.Profile()
    profiler.runcall(act)
    stats = pstats.Stats(profiler)
    spent = sorted(((row[2], _function(place)) for place, row in stats.stats.items()), reverse=True)  # type: ignore[attr-defined]
    total = sum(seconds for seconds, _ in spent)
    return [(name, seconds / total) for seconds, name in spent[:8]]


def _function(place: tuple[str, int, str]) -> str:
    file, _, name = place
    return name.strip("<>").replace("built-in method ", "") if file == "~" else f"{Path(file).stem}.{name}"


def measure(block: SampleBlock, spec: PoolSpec) -> dict[str, Any]:
    """Everything about one stream of samples, on a fresh pool."""
    live = spec.window_count
    with tempfile.TemporaryDirectory() as folder, Pool.open(Path(folder) / "pool", spec) as pool:
        rows = turn_over(pool, block, live)
        figures: dict[str, Any] = {
            "turnovers": rows,
            "median_ratio": median(row["ratio"] for row in rows),
            "least_recall": min(row["recall"] for row in rows[1:]),
            "median_queries_per_core_s": median(row["queries_per_core_s"] for row in rows[1:]),
            **sizes(pool),
        }
        last = (1 + TURNOVERS) * live
        figures["search_profile"] = profile(lambda: ask(pool, block, last))
        later = next_version(block)
        figures["after_new_model"] = after_new_model(pool, later, block, last)
        more = later(block.take(slice(last, last + 10 * BLOCK)))
        figures["upsert_profile"] = profile(lambda: upsert_all(pool, more))
        coming = later(block.take(slice(last + 10 * BLOCK, None)))
        figures["queries"] = live_queries(pool, coming, K)
        figures["live"] = pass_by_pass(pool, coming.take(slice(COMING, None)))
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default="ml-1m")
    parser.add_argument("--live", type=int, default=50_000)
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    block = encoded_samples(options.log, (1 + TURNOVERS) * options.live + 10 * BLOCK + COMING + PASSES * PASS_ROWS)
    spec = PoolSpec(window_count=options.live, window_age_ms=10**15, segment_rows=options.live // 4)
    result = {
        "log": options.log,
        "live": options.live,
        "k_per_label": K,
        "machine": f"{platform.processor() or platform.machine()}, Python {platform.python_version()}",
        "as_logged": measure(block, spec),
        "nothing_shared": measure(without_sharing(block), spec),
        "all_in_graphs": measure(block, msgspec.structs.replace(spec, graph_nodes=1)),
    }
    print("\n".join(table(result)))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def table(result: dict[str, Any]) -> list[str]:
    """The result for people."""
    lines = [f"{result['log']}, {result['live']:,} live samples, {K} of each label per query; {result['machine']}"]
    for name in ("as_logged", "nothing_shared", "all_in_graphs"):
        figures = result[name]
        anew, queries = figures["after_new_model"], figures["queries"]
        lines += ["", f"{name.replace('_', ' ')} ({figures['distinct_vectors_share']:.0%} distinct vectors)"]
        lines.append(f"turnover  upserts/s  raw adds/s  ratio  recall@{K}  queries/s  exact  random  fallback")
        for row in figures["turnovers"]:
            lines.append(
                f"{row['turnover']:>8}  {row['upserts_per_core_s']:>9,.0f}  {row['raw_adds_per_core_s']:>10,.0f}"
                f"  {row['ratio']:>5.2f}  {row['recall']:>10.4f}  {row['queries_per_core_s']:>9,.0f}"
                f"  {row['exact_queries_per_core_s']:>5,.0f}  {row['random_per_core_s']:>6,.0f}"
                f"  {row['searched_exactly_after_all']:>8.2%}"
            )
        lines += [
            f"ratio to raw hnswlib {figures['median_ratio']:.2f} (target 0.7), "
            f"least recall {figures['least_recall']:.4f} (target 0.99), "
            f"{figures['median_queries_per_core_s']:,.0f} queries per core-second (target 2,000)",
            f"bytes per sample: {figures['memory_bytes_per_sample']:,.0f} in memory, "
            f"{figures['disk_bytes_per_sample_running']:,.0f} on disk while running",
            f"a new cloud model: {anew['reencode_us_per_sample']:.1f} µs per sample, then "
            f"{anew['queries_per_core_s']:,.0f} queries, {anew['random_per_core_s']:,.0f} random",
            f"queries per core-second, one at a time {queries['alone_per_core_s']:,.0f} (target 600; raw hnswlib "
            f"{queries['hnswlib_alone_per_core_s']:,.0f}), {AT_ONCE} at a time {queries['together_per_core_s']:,.0f} "
            "(target 2,500)",
            f"{QUERIES_A_S} queries a second, p99 in CPU ms: {queries['p99_idle_ms']:.1f} idle, "
            f"{queries['p99_under_upserts_ms']:.1f} under {UPSERTS_A_S} upserts a second, "
            f"{queries['p99_under_upserts_ms'] / queries['p99_idle_ms']:.2f} times that (target 1.5)",
            f"live, µs of CPU for {PASS_ROWS} samples and then {PASS_QUERIES} queries: "
            + ", ".join(f"{what} {us:,.0f}" for what, us in figures["live"].items()),
        ]
        for what in ("upsert", "search"):
            shares = ", ".join(f"{function} {share:.0%}" for function, share in figures[f"{what}_profile"])
            lines.append(f"where {what} spends its time: {shares}")
    return lines


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
