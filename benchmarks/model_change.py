"""A new cloud model at a steady pace: for how long nothing is pooled, how old things get, when it is in use.

    python -m benchmarks.model_change                    200,000 live samples, 1,000 events/s, embedded Kafka
    python -m benchmarks.model_change --live 50000 --pace 2000 --json FILE

The dataflow in this process, over a pool that is full; events come from another process. After some seconds a second
model is there. Once with the whole pool encoded in one go, which is as long as nothing is served, and once in slices.
The models are random: what they cost is the same. Times are of the wall clock, so run it alone; but for one that is
said to be of a core: how much the dataflow's thread computed between two times that it pooled something.
"""

import argparse
import gc
import json
import multiprocessing
import shutil
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from bytewax.recovery import RecoveryConfig
from bytewax.testing import run_main

from benchmarks.flow import Load, feed
from benchmarks.pool import load_samples
from index.pool import Pool
from index.shadow import SLICE_ROWS
from models.cloud_model import CloudModel, random_model
from monitor.metrics import Metrics
from streams.flow.blame import Blame
from streams.flow.dataflow import build_flow
from streams.flow.pool_shards import PoolShards
from streams.flow.settings import FlowSettings
from streams.flow.sink import KafkaOutput, KafkaWriter, Outgoing
from streams.flow.source import IDLE_ALONE_S, KafkaInput, Reader
from streams.flow.state import prepare_state
from streams.flow.state_shards import StateShards
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import CANDIDATES, EVENTS, FLOW_GROUP, REQUESTS, SAMPLES
from wire.arrays import F64
from wire.batch import decode_batch
from wire.clock import SystemClock
from wire.sample import decode_record

FILL_ROWS = 5_000
WARM_S, AFTER_S = 8, 30  # before the new model comes, and what is looked at after it
AT_ONCE = 10**9


class Came(NamedTuple):
    """What came when, Unix ms, and what the dataflow's thread had computed by then, ms."""

    at_ms: int
    core_ms: float
    out: Outgoing


class Noted(KafkaOutput):
    """A sink that notes what came when, and sends nothing."""

    def __init__(self, bus: KafkaBus) -> None:
        super().__init__(bus, 0, Blame())
        self.came: list[Came] = []

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> KafkaWriter:  # noqa: ARG002
        """The one part."""
        return NotedPart(self.came)

    def ages(self, topic: str) -> tuple[F64, F64]:
        """When each message of a topic came (Unix ms), and how old it was (ms)."""
        decode: Any = decode_record if topic == SAMPLES else decode_batch
        told = [
            (at, decode(value).produced_ms) for at, _, out in self.came if out.topic == topic for value in out.values
        ]
        at_ms, produced_ms = np.array(told, np.float64).T
        return at_ms, at_ms - produced_ms

    def longest_between(self, topic: str, since_ms: float) -> tuple[float, float]:
        """From one message of a topic to the next at most: ms of the wall clock, and ms of a core."""
        told = [(at, core) for at, core, out in self.came if out.topic == topic and at >= since_ms]
        wall_ms, core_ms = np.diff(np.array(told, np.float64), axis=0).max(axis=0)
        return float(wall_ms), float(core_ms)

    def first_of(self, version: int) -> float:
        """When the first batch by that model came, Unix ms."""
        batches = ((at, value) for at, _, out in self.came if out.topic == CANDIDATES for value in out.values)
        return next((at for at, value in batches if decode_batch(value).version == version), float("nan"))


class NotedPart(KafkaWriter):
    """Notes."""

    def __init__(self, came: list[Came]) -> None:
        self._came, self._clock = came, SystemClock()

    def write_batch(self, values: list[Outgoing]) -> None:
        """Some messages."""
        self._came += [Came(self._clock.wall_ms(), 1e3 * time.thread_time(), value) for value in values]

    def snapshot(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is open."""


def models(log: str, rows: int) -> list[CloudModel]:
    """Two versions that know the log's items."""
    block = load_samples(log, rows)
    items, categories = np.unique(block.item), np.unique(block.category)
    return [random_model(items, categories, seed=version, version=version) for version in (1, 2)]


def settings_of(folder: Path, bootstrap: str, live: int) -> FlowSettings:
    """A window that events of any age are in."""
    pool, state = str(folder / "pool"), str(folder / "state")
    return FlowSettings(bootstrap=bootstrap, pool=pool, state=state, window_count=live, window_days=100_000)


def fill(folder: Path, log: str, live: int, model: CloudModel) -> None:
    """A pool with so many samples."""
    block = load_samples(log, live)
    with PoolShards(folder / "pool", 1, settings_of(folder, "", live).pool_spec) as pools:
        for at in range(0, live, FILL_ROWS):
            pools.pool(0).upsert(model.encode_block(block.take(slice(at, at + FILL_ROWS))))


def change(
    filled: Path, load: Load, versions: list[CloudModel], options: argparse.Namespace, slice_rows: int
) -> dict[str, float]:
    """What a change of models did to a dataflow that encodes so many rows at a time."""
    Pool.slice_rows = slice_rows
    with EmbeddedKafka() as kafka, tempfile.TemporaryDirectory() as place:
        settings = settings_of(Path(place), kafka.bootstrap, options.live)
        shutil.copytree(filled / "pool", settings.pool)
        ensure_topics(KafkaSettings(kafka.bootstrap))
        sink = Noted(KafkaBus(KafkaSettings(kafka.bootstrap)))
        source = multiprocessing.get_context("spawn").Process(
            target=feed, args=(KafkaSettings(kafka.bootstrap), load, FLOW_GROUP, options.pace), daemon=True
        )
        source.start()
        changed_ms = run(settings, sink, versions)
        source.terminate()
        source.join()
    pooled_ms, pooled_age = sink.ages(SAMPLES)
    matched_ms, matched_age = sink.ages(CANDIDATES)
    end_ms = changed_ms + 1000 * AFTER_S
    wall_ms, core_ms = sink.longest_between(SAMPLES, changed_ms - 1000)
    figures = {
        "longest_without_pooling_ms": wall_ms,
        "of_a_core": core_ms,
        "s_until_the_first_batch_by_it": (sink.first_of(2) - changed_ms) / 1000,
    }
    for stage, at_ms, age_ms in (("pooled", pooled_ms, pooled_age), ("matched", matched_ms, matched_age)):
        before = (at_ms >= changed_ms - 4000) & (at_ms < changed_ms)
        after = (at_ms >= changed_ms) & (at_ms < end_ms)
        figures[f"{stage}_p99_before_ms"] = float(np.quantile(age_ms[before], 0.99))
        figures[f"{stage}_p99_ms"] = float(np.quantile(age_ms[after], 0.99))
    return figures


def run(settings: FlowSettings, sink: Noted, versions: list[CloudModel]) -> float:
    """Run the dataflow for a while, from its first event on; when the second model came, Unix ms."""
    clock, blame, metrics = SystemClock(), Blame(), Metrics()
    bus = KafkaBus(settings.kafka)
    began_s: list[float] = []
    changed_ms: list[float] = []

    def passed_s() -> float:
        if sink.came and not began_s:
            began_s.append(time.monotonic())
        return time.monotonic() - began_s[0] if began_s else 0.0

    def model() -> CloudModel:
        if passed_s() < WARM_S:
            return versions[0]
        if not changed_ms:
            changed_ms.append(clock.wall_ms())
        return versions[1]

    prepare_state(Path(settings.state))
    gc.collect()
    gc.freeze()  # as a flow's process does: else a collection of all that was imported stops it for longer than a slice
    with (
        PoolShards(Path(settings.pool), 1, settings.pool_spec) as pools,
        StateShards(Path(settings.state), 1) as states,
    ):
        reader = Reader(bus, blame, clock, time.sleep, idle_s=IDLE_ALONE_S, busy=pools.in_shadow)
        partitions = [partition for topic in (EVENTS, REQUESTS) for partition in bus.bounds(topic)]
        stopping = lambda: passed_s() > WARM_S + AFTER_S + 1  # noqa: E731
        flow = build_flow(
            settings,
            KafkaInput(reader, partitions, ready=lambda: True, stopping=stopping),
            sink,
            pools,
            states,
            clock=clock,
            metrics=metrics,
            model=model,
            blame=blame,
        )
        run_main(  # type: ignore[no-untyped-call]
            flow,
            epoch_interval=timedelta(milliseconds=settings.epoch_ms),
            recovery_config=RecoveryConfig(settings.state),  # type: ignore[no-untyped-call]
        )
        reader.close()
    return changed_ms[0]


def table(result: dict[str, Any]) -> list[str]:
    """The result for people."""
    lines = [f"{result['live']:,} live samples of {result['log']}, {result['pace']:,} events/s", ""]
    lines.append(f"{'':<32}  {'in one go':>10}  {'in slices':>10}")
    for name, once in result["at_once"].items():
        lines.append(f"{name.replace('_', ' '):<32}  {once:>10,.1f}  {result['in_slices'][name]:>10,.1f}")
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default="ml-1m")
    parser.add_argument("--live", type=int, default=200_000)
    parser.add_argument("--pace", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    versions = models(options.log, options.live)
    load = Load(options.log, (WARM_S + AFTER_S + 15) * options.pace, versions[0], first=options.live)
    result: dict[str, Any] = {"log": options.log, "live": options.live, "pace": options.pace}
    with tempfile.TemporaryDirectory() as folder:
        print("filling the pool", file=sys.stderr)
        fill(Path(folder), options.log, options.live, versions[0])
        for name, rows in (("at_once", AT_ONCE), ("in_slices", SLICE_ROWS)):
            print(name.replace("_", " "), file=sys.stderr)
            result[name] = change(Path(folder), load, versions, options, rows)
    print("\n".join(table(result)))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
