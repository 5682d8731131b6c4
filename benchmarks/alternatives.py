"""The dataflow beside what one would take else: Pathway for the same job, Quix Streams for its first half.

    python -m venv runs/alternatives && runs/alternatives/bin/pip install -r benchmarks/alternatives.txt
    python -m benchmarks.alternatives --python runs/alternatives/bin/python                       without Kafka
    python -m benchmarks.alternatives --python … --bootstrap 127.0.0.1:9092    with Quix Streams; topics still empty

The job: decode events of ml-1m, drop those that come again (each hundredth does), keep what remains in a live index of
match keys, and answer a query for the best 800 of each label each 16 events, as of then. One process, one thread, 1,000
events in a pass or commit. CPU seconds are of the process, from the first event on; memory is what it grew by.

Pathway gets the match keys ready made, and its answers are numbers of rows: model, histories, random samples, limits
(nobody's own, nothing newer than the query), candidates and batches, and everything on disk are in the dataflow's
figures alone. Quix Streams has no index; it reads Kafka, as the dataflow that is beside it does, where users are due
once only. The embedded broker is no Kafka that it can ask for a topic's settings.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.flow import Load, feed, publish, throughput
from benchmarks.flow_profile import in_process
from benchmarks.own_process import Growth, in_own_process
from benchmarks.pool import INITIAL, load_samples
from index.matches import LABELS
from index.verify import TIE
from models.sample import SampleBlock
from streams.kafka.admin import ensure_topics
from streams.kafka.connection import KafkaSettings
from streams.kafka.topics import FLOW_GROUP
from wire.arrays import I64

AGAIN = 100  # each so manieth event comes twice
COMMIT, EVERY, K = 1_000, 16, 800
CHECKED_EVERY = 16  # of the queries one in so many is compared with exact answers
NEVER = 10**9
INSTALL = "python -m venv runs/alternatives && runs/alternatives/bin/pip install -r benchmarks/alternatives.txt"


def coming_again(load: Load) -> tuple[Load, I64]:
    """The same with some events twice, and which of the distinct ones each is (n,)."""
    row = np.arange(len(load))
    row, again = np.sort(np.concatenate([row, row[::AGAIN]])), copy(load)
    again.keys, again.values = [load.keys[at] for at in row], [load.values[at] for at in row]
    return again, row


def in_dataflow(load: Load, **settings: Any) -> dict[str, Any]:
    """All that a dataflow does, without Kafka, in the process that asks."""
    growth = Growth()
    with tempfile.TemporaryDirectory() as folder:
        cpu_s, batches = in_process(load.values, load.model, Path(folder), COMMIT, window_days=100_000, **settings)
    return {"cpu_s": cpu_s, "queries": batches, "memory_bytes": growth.most_bytes}


def elsewhere(python: str, module: str, *words: object) -> dict[str, Any]:
    """What a job printed that ran where its package is installed."""
    command = [python, "-m", f"benchmarks.{module}", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def installed(python: str, module: str) -> bool:
    """Whether a package is there; says so if not."""
    there = not subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode
    if not there:
        print(f"{module} is left out, {python} has none: {INSTALL}, then --python", file=sys.stderr)
    return there


def in_pathway(python: str, folder: Path, kind: str, samples: SampleBlock, row: I64) -> dict[str, Any]:
    """One of Pathway's indexes."""
    figures = elsewhere(python, "pathway_job", folder, kind)
    with np.load(folder / f"{kind}.npz") as kept:
        if len(kept["query"]):
            figures["recall"] = recall_of(kept["query"], kept["found"], samples, row)
    return figures


def recall_of(query: I64, found: I64, samples: SampleBlock, row: I64) -> float:
    """The share that was found, rows (q, 2, K), of the best `K` of each label for the samples `query` (q,); ties count.

    An answer is as of the end of the query's commit, of messages that are the samples `row` (n,).
    """
    assert samples.match_key is not None
    hits = wanted = 0
    for asked, rows in zip(query.tolist(), found, strict=True):
        commit = int(np.searchsorted(row, asked)) // COMMIT
        there = np.arange(row[: COMMIT * (commit + 1)][-1] + 1)
        score = samples.match_key[there] @ samples.match_key[asked]
        for label in LABELS:
            mine = np.sort(score[samples.label[there] == label])[-K:]
            hits += int((score[rows[label][rows[label] >= 0]] >= mine[0] - TIE).sum()) if len(mine) else 0
            wanted += len(mine)
    return hits / wanted


def from_kafka(python: str, load: Load, distinct: int, bootstrap: str) -> dict[str, dict[str, Any]]:
    """The dataflow almost without matches, and Quix Streams, on the same topic."""
    settings = KafkaSettings(bootstrap)
    ensure_topics(settings)
    publish(settings, load.model)
    feed(settings, load, FLOW_GROUP)
    ours = throughput(load, bootstrap, 1, "--match-every", str(NEVER), "--freshness-budget", "100000d")
    result: dict[str, dict[str, Any]] = {
        "the dataflow from Kafka, one match a user": {
            "cpu_s": len(load) / ours["events_per_core_s"],
            "queries": ours["matches"],
        }
    }
    if installed(python, "quixstreams"):
        result["Quix Streams from Kafka: decode, dedupe, histories"] = elsewhere(
            python, "quix_job", bootstrap, distinct
        )
    return result


def measure(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """All arms, each in a process of its own."""
    load = Load(options.log, options.events, first=INITIAL)
    samples = load_samples(options.log, INITIAL + options.events).take(slice(INITIAL, None))
    samples, (load, row) = load.model.encode_block(samples), coming_again(load)
    result = {
        "the dataflow": in_own_process(partial(in_dataflow, load)),
        "the dataflow without random samples": in_own_process(partial(in_dataflow, load, random=False)),
    }
    if installed(options.python, "pathway"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "events.jsonl").write_bytes(b"\n".join(load.values))
            assert samples.match_key is not None
            np.savez(folder / "job.npz", row=row, vectors=samples.match_key, settings=[COMMIT, EVERY, K, CHECKED_EVERY])
            for kind in ("none", "brute-force", "usearch"):
                title = "decode and dedupe only" if kind == "none" else kind
                result[f"Pathway, {title}"] = in_pathway(options.python, folder, kind, samples, row)
    if options.bootstrap:
        result |= from_kafka(options.python, load, options.events, options.bootstrap)
    return {arm: {**figures, "us_per_event": 1e6 * figures["cpu_s"] / len(row)} for arm, figures in result.items()}


def table(result: dict[str, dict[str, Any]]) -> list[str]:
    """The result for people."""
    lines = [f"{'':<52}  µs per event  events/core-s  queries  recall@{K}      MB"]
    for arm, figures in result.items():
        us = figures["us_per_event"]
        recall = f"{figures['recall']:.4f}" if "recall" in figures else ""
        memory = f"{figures['memory_bytes'] / 1e6:,.0f}" if "memory_bytes" in figures else ""
        queries = f"{figures['queries']:,.0f}" if figures.get("queries") else ""
        lines.append(f"{arm:<52}  {us:>12,.1f}  {1e6 / us:>13,.0f}  {queries:>7}  {recall:>10}  {memory:>6}")
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default="ml-1m")
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--python", default=sys.executable, help="an interpreter with benchmarks/alternatives.txt")
    parser.add_argument("--bootstrap", help="a Kafka whose topics are still empty, for Quix Streams")
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = measure(options)
    print("\n".join(table(result)))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
