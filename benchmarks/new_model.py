"""A new cloud model in the whole system at a steady pace: what waits, and when devices have it.

    python -m benchmarks.new_model                         200,000 live samples, 500 devices, 1,000 events/s
    python -m benchmarks.new_model --live 50000 --json FILE

The processes, the log of 500 busy users and their live part are those of `benchmarks.freshness`, with what a service
trains. Before the live part the pool is filled up to `--live` samples by users without a device. In the middle of the
live part the next version is published: the same weights under the next number, which costs as much. The trainer has
ended by then, since only one may publish.

All times are Kafka's: a sample is pooled when it comes on the topic `samples`, and a device has the version, or has
trained with it, when the tunnel passes on that it says so. Active is whose user did something in the last ten seconds.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.freshness import (
    EPOCH,
    INITIAL_EVENTS,
    LINGER,
    LOOK_S,
    SETTLE_S,
    STOP_S,
    TARGETS_S,
    Stack,
    bring_up,
    figures,
    machine_busy_s,
    say,
    taken_in,
)
from benchmarks.measured import measured
from benchmarks.paced_log import START_MS, paced_log
from models.artefact import model_from_bytes, model_to_bytes
from monitor.metrics import Metrics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import MODELS, SAMPLES, TELEMETRY
from streams.logs.data import get_log, log_named
from streams.logs.event_log import load_log
from streams.mqtt.embedded import EmbeddedMqtt
from wire.malformed import Malformed
from wire.outcome import Batches
from wire.signing import keys_in, open_model, sign_model
from wire.telemetry import Ack, Training, decode_report

BEFORE_S = THROUGH_S = 10  # ages are told of so long after it came, and of as long before
ON_IT_S, TRAINED_S = (1, 5, 10, 30), (10, 30, 60)  # when it is looked how many devices have it, and trained with it
STOP_MS, PUSHED_MS, ON_IT_BY_S, TRAINED_BY_S = 100, 500, 10, 60  # targets


class Watched:
    """What came on the topics `samples` and `telemetry`, read by a thread of its own; times are Unix ms of Kafka."""

    def __init__(self, bus: KafkaBus) -> None:
        self.version = 0  # to look out for
        self.pooled_ms: list[int] = []
        self.on_it_ms: dict[str, int] = {}  # by user
        self.trained_ms: dict[str, int] = {}
        ends = {place: end for topic in (SAMPLES, TELEMETRY) for place, (_, end) in bus.bounds(topic).items()}
        self._consumer = bus.consumer("benchmark-new-model", [], "latest", assign=ends)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Read no more."""
        self._over.set()
        self._thread.join()
        self._consumer.close()

    def longest_stop_ms(self, since_s: float, until_s: float) -> float:
        """From one pooled sample to the next at most."""
        at_ms = np.sort(self.pooled_ms)
        return float(np.diff(at_ms[(at_ms >= 1000 * since_s) & (at_ms < 1000 * until_s)]).max())

    def _read(self) -> None:
        while not self._over.is_set():
            for message in self._consumer.poll(2000, 0.2):
                if message.topic == SAMPLES:
                    self.pooled_ms.append(message.timestamp_ms)
                elif self.version:
                    self._hear(message.value, message.timestamp_ms)

    def _hear(self, raw: bytes, at_ms: int) -> None:
        try:
            report = decode_report(raw)
        except Malformed:
            return
        if not isinstance(report, Ack | Training) or report.model.version != self.version:
            return
        if isinstance(report, Training):
            self.trained_ms.setdefault(report.user_id, at_ms)
        elif report.outcome is not Batches.ACCEPTED:
            return
        self.on_it_ms.setdefault(report.user_id, at_ms)


class Log:
    """The devices' first events, then others' until `live` samples are there, then the live part at its pace."""

    def __init__(self, options: argparse.Namespace) -> None:
        live_s = options.warm_up + BEFORE_S + options.seconds
        self._pace = options.pace
        per_user = INITIAL_EVENTS + -(-live_s * options.pace // options.devices)
        acting = paced_log(options.log, options.devices, per_user, options.pace, say)
        first = INITIAL_EVENTS * options.devices
        everybody = load_log(get_log(log_named(options.log), say)).select(acting.columns)
        others = everybody.join(acting, on="user_id", how="anti").head(options.live - first)
        live = acting.slice(first, live_s * options.pace)
        events = pl.concat([acting.head(first), others, live], how="vertical_relaxed")
        times = START_MS + np.floor(1000 / options.pace * np.arange(len(events))).astype(np.int64)
        self.events = events.with_columns(pl.Series("timestamp", times))
        self.before_live = first + len(others)
        self.learned_ms, self.live_ms = (int(times[at]) for at in (first, self.before_live))

    def active(self, until_s: float) -> set[str]:
        """Whose devices are in use so long after the live part began: they did something in the last `BEFORE_S`."""
        until = self.before_live + int(until_s * self._pace)
        return set(self.events["user_id"][until - BEFORE_S * self._pace : until].to_list())


def publish_next(bus: KafkaBus, keys: Path) -> int:
    """Publish the newest model again under the next number, which it returns."""
    private, public = keys_in(keys)
    newest = list(bus.read("benchmark-new-model", bus.bounds(MODELS)))[-1]
    model = model_from_bytes(open_model(newest.value, public))
    following = model.as_version(model.version + 1)
    producer = bus.producer()
    producer.send(MODELS, b"current", sign_model(model_to_bytes(following), private), headers=dict(newest.headers))
    producer.flush()
    return following.version


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """One run."""
    log = Log(options)
    with ExitStack() as opened:
        folder = options.out or Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="coda-new-model-")))
        folder.mkdir(parents=True, exist_ok=True)
        log.events.write_parquet(folder / "log.parquet")
        kafka, mqtt = opened.enter_context(EmbeddedKafka()), opened.enter_context(EmbeddedMqtt())
        stack = Stack(folder, kafka.bootstrap, mqtt.address, options, log.live_ms, learned_ms=log.learned_ms)
        opened.callback(stack.stop)
        bring_up(stack, options.devices, log.before_live)
        stack.children["train-cloud"].stop(STOP_S)
        result = live_part(stack, KafkaBus(KafkaSettings(kafka.bootstrap)), log, options, folder / "keys")
    return result | {"log": options.log, "devices": options.devices, "pace_per_s": options.pace}


def live_part(stack: Stack, bus: KafkaBus, log: Log, options: argparse.Namespace, keys: Path) -> dict[str, Any]:
    """From the first event of the live part to its last."""
    say(f"live part at {options.pace:,} events/s")
    watched = Watched(bus)
    stack.start("live")
    stack.wait("the live part", lambda now: taken_in(now) > log.before_live)
    time.sleep(options.warm_up)
    before, busy_s, began_s = stack.look(), machine_busy_s(), time.time()
    time.sleep(BEFORE_S)
    came, came_busy_s, came_s = stack.look(), machine_busy_s(), time.time()
    watched.version = publish_next(bus, keys)
    say(f"version {watched.version} came")
    time.sleep(THROUGH_S)
    through, through_busy_s, through_s = stack.look(), machine_busy_s(), time.time()
    while not stack.ended("live"):
        time.sleep(LOOK_S)
    ended_s = time.time()
    time.sleep(SETTLE_S)
    watched.close()
    active = log.active(options.warm_up + BEFORE_S)
    return {
        "live": came.total(Metrics.pool_live.name),
        "active": len(active),
        "before": figures(before, came, came_s - began_s),
        "through": figures(came, through, through_s - came_s),
        "cores_before": (came_busy_s - busy_s) / (came_s - began_s),
        "cores_through": (through_busy_s - came_busy_s) / (through_s - came_s),
        "longest_stop_before_ms": watched.longest_stop_ms(began_s, came_s),
        "longest_stop_ms": watched.longest_stop_ms(came_s, ended_s),
        "on_it": had(watched.on_it_ms, active, came_s, ON_IT_S),
        "trained_with_it": had(watched.trained_ms, active, came_s, TRAINED_S),
    }


def had(at_ms: Mapping[str, int], active: set[str], came_s: float, within_s: Sequence[int]) -> dict[str, float]:
    """How many of the active devices had it within so many seconds, and when the last of them had."""
    after_s = np.array([at_ms.get(user, np.inf) for user in active]) / 1000 - came_s
    return {f"{s}_s": int((after_s <= s).sum()) for s in within_s} | {"last_s": float(after_s.max())}


def table(result: dict[str, Any]) -> list[str]:
    """The result for people."""
    lines = [
        "{devices} devices, {active} active, {pace_per_s:,} events/s of {log}, {live:,.0f} live samples".format(
            **result
        )
    ]
    lines += ["", f"{'':<36} {'before':>8} {'through it':>10}"]
    for stage in TARGETS_S:
        for q in ("p50", "p99"):
            ages = (result[when]["stages"][stage][f"{q}_ms"] for when in ("before", "through"))
            lines.append("{:<36} {:>8,.0f} {:>10,.0f}".format(f"{stage} {q}, ms", *ages))
    stops = result["longest_stop_before_ms"], result["longest_stop_ms"]
    lines.append("{:<36} {:>8,.0f} {:>10,.0f}".format("longest without pooling, ms", *stops))
    cores = result["cores_before"], result["cores_through"]
    lines.append("{:<36} {:>8.2f} {:>10.2f}".format("cores busy in all", *cores))
    for name in ("on_it", "trained_with_it"):
        counts = {k.replace("_", " "): v for k, v in result[name].items()}
        last = counts.pop("last s")
        told = ", ".join(f"{count} within {within}" for within, count in counts.items())
        lines.append(f"{name.replace('_', ' ')}: {told}; the last after {last:.1f} s")
    return lines


def reached(result: dict[str, Any]) -> bool:
    """Whether all targets are."""
    targets = (
        (result["longest_stop_ms"], STOP_MS),
        (result["through"]["stages"]["pushed"]["p99_ms"], PUSHED_MS),
        (result["on_it"]["last_s"], ON_IT_BY_S),
        (result["trained_with_it"]["last_s"], TRAINED_BY_S),
    )
    return all(found <= target for found, target in targets)


def main() -> None:
    """Measure and print; exit code 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default="ml-1m", help="a name from `coda data list`")
    parser.add_argument("--live", type=int, default=200_000, help="samples in the pool when the model comes")
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--pace", type=int, default=1000, help="events per second")
    parser.add_argument("--arms", default="cloud,local,coda", help="that devices train")
    parser.add_argument("--warm-up", type=int, default=12, help="seconds of the live part that do not count")
    parser.add_argument("--seconds", type=int, default=60, help="that are looked at after the model came")
    parser.add_argument("--out", type=Path, help="keep logs and records of the processes here")
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    options.fleet_processes = 1  # which alone may leave users without a device
    options.epoch, options.linger = EPOCH, LINGER
    result = measured(measure, table, options)
    sys.exit(0 if reached(result) else 1)


if __name__ == "__main__":
    main()
