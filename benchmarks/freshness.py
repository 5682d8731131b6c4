"""Freshness of the whole path at a steady pace: how old things are when they are pooled, pushed and trained on.

    python -m benchmarks.freshness                                       embedded brokers, 500 devices, 1,000 events/s
    python -m benchmarks.freshness --bootstrap 127.0.0.1:9092 --mqtt 127.0.0.1:1883      real ones, empty so far
    python -m benchmarks.freshness --json FILE --seconds 30 --log generated
    python -m benchmarks.freshness --arms cloud,local,coda               what a service trains: no arms to compare with
    python -m benchmarks.freshness --epoch 10s                           a dataflow that saves its state less often
    python -m benchmarks.freshness --linger 50ms                         one whose passes are farther apart

Starts the cloud trainer, the dataflow, the tunnel and the fleet as processes. The initial part of the log trains the
first cloud model and is replayed at full speed, so that users have histories and devices have windows. Everyone trains
for the first time then; when that is over, the live part comes at its pace. Its first seconds are a warm-up and do not
count either: devices asked for their first batches all at once, so at first all users are due at once, too.
No new version of the cloud model comes, after which everyone would train anew.

An age runs from Kafka's produce timestamp of the event that made a user due (of every event for `pooled`). Ages are
read from the processes' own histograms, so a quantile is exact at their bounds, which lie on the targets, and true to
some 10 % between them.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.measured import measured
from benchmarks.paced_log import START_MS, paced_log
from benchmarks.scrape import Snapshot, scrape, together
from monitor.metrics import Metrics
from monitor.stages import STAGES
from streams.child import Child
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import FLEET_GROUP, FLOW_GROUP
from streams.mqtt.embedded import EmbeddedMqtt
from streams.ports import free_ports
from wire.task import ARMS

TARGETS_S = {"pooled": 0.25, "pushed": 0.5, "trained": 2.0}  # p99
QUANTILES = (0.5, 0.95, 0.99)
SERVICES = ("train-cloud", "flow", "tunnel", "fleet")
EPOCH, LINGER = "1s", "25ms"  # as `coda flow` has them
INITIAL_EVENTS = 60  # of each user, before the live part
LOOK_S = 0.5
PATIENCE_S = 180.0
CALM_S = 3.0
SETTLE_S = 2.0  # after the last event: what is on its way still counts
STOP_S = 30.0


class Stack:
    """All processes of one run, and what they show.

    The log in `folder` is history up to `live_from_ms`; up to `learned_ms`, or all of that, the first cloud model
    learns from it.
    """

    def __init__(
        self,
        folder: Path,
        kafka: str,
        mqtt: str,
        options: argparse.Namespace,
        live_from_ms: int,
        *,
        learned_ms: int | None = None,
    ) -> None:
        self._ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
        lines = _commands(folder, kafka, mqtt, options, live_from_ms, learned_ms=learned_ms or live_from_ms)
        for name, port in self._ports.items():
            lines[name] = (*lines[name], "--metrics-port", str(port))
        self._metrics = [*self._ports.values(), *(self._ports["fleet"] + n for n in range(1, options.fleet_processes))]
        self.children = {name: Child(name, line, folder) for name, line in lines.items()}

    def start(self, *names: str) -> None:
        """Start some of them."""
        for name in names:
            self.children[name].start()

    def look(self) -> Snapshot:
        """The services' metrics together; of those that do not serve yet, none."""
        found = []
        for child in self.children.values():
            child.check()
        for port in self._metrics:
            with suppress(OSError):
                found.append(scrape(f"http://127.0.0.1:{port}/metrics", 5.0))
        return together(found)

    def wait(self, what: str, over: Callable[[Snapshot], bool]) -> None:
        """Look until `over` says so of what the services show."""
        end_s = time.monotonic() + PATIENCE_S
        while not over(self.look()):
            if time.monotonic() > end_s:
                raise SystemExit(f"after {PATIENCE_S:.0f} s still waiting for {what}")
            time.sleep(LOOK_S)

    def ended(self, name: str) -> bool:
        """Whether this one is done; raises `ChildFailed` when it failed."""
        self.children[name].check()
        return self.children[name].code() is not None

    def cpu_s(self, brokers: Mapping[str, int]) -> dict[str, float]:
        """CPU seconds of every process so far, the brokers' (by process id) included."""
        pids = {name: self.children[name].pid for name in (*SERVICES, "live")}
        spent_s = {name: process_cpu_s(pid) for name, pid in {**pids, **brokers}.items() if pid is not None}
        if (fleet := pids["fleet"]) is not None:
            spent_s["fleet"] += sum(map(process_cpu_s, supervised(fleet)))
        return spent_s

    def stop(self) -> None:
        """End all, those who feed others first."""
        for name in ("live", "history", "fleet", "tunnel", "flow", "train-cloud"):
            self.children[name].stop(STOP_S)


class _Calm:
    """Whether a counter has stood still for `CALM_S`."""

    def __init__(self, name: str) -> None:
        self._name, self._count, self._since_s = name, -1.0, 0.0

    def __call__(self, now: Snapshot) -> bool:
        count = now.total(self._name)
        if count != self._count:
            self._count, self._since_s = count, time.monotonic()
        return count > 0 and time.monotonic() - self._since_s >= CALM_S


def process_cpu_s(pid: int) -> float:
    """User and system time of one process, all its threads; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def supervised(pid: int) -> list[int]:
    """The processes that this one looks after."""
    with suppress(FileNotFoundError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def machine_busy_s() -> float:
    """CPU seconds that the whole machine was busy since it started."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """One run."""
    live_s = options.warm_up + options.seconds
    per_user = INITIAL_EVENTS + -(-int(live_s * options.pace) // options.devices)
    log = paced_log(options.log, options.devices, per_user, options.pace, say)
    initial = INITIAL_EVENTS * options.devices
    log = log.head(initial + int(live_s * options.pace))
    with ExitStack() as opened:
        folder = options.out or Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="coda-freshness-")))
        folder.mkdir(parents=True, exist_ok=True)
        log.write_parquet(folder / "log.parquet")
        brokers: dict[str, int] = {}
        if not options.bootstrap:
            options.bootstrap = opened.enter_context(EmbeddedKafka()).bootstrap
            brokers["kafka + this benchmark"] = os.getpid()
        mqtt = options.mqtt
        if not mqtt:
            embedded = opened.enter_context(EmbeddedMqtt())
            mqtt, brokers["mqtt"] = embedded.address, embedded.pid
        stack = Stack(folder, options.bootstrap, mqtt, options, int(log["timestamp"][initial]))
        opened.callback(stack.stop)
        result = steady_state(stack, options, initial, brokers)
    result |= {
        "log": options.log,
        "arms": options.arms,
        "devices": options.devices,
        "fleet_processes": options.fleet_processes,
        "epoch": options.epoch,
        "linger": options.linger,
        "pace_per_s": options.pace,
        "seconds": options.seconds,
        "brokers": "embedded" if "mqtt" in brokers else "real",
        "machine": f"{os.cpu_count()} × {platform.machine()}, Python {platform.python_version()}",
    }
    return result


def steady_state(stack: Stack, options: argparse.Namespace, initial: int, brokers: Mapping[str, int]) -> dict[str, Any]:
    """Bring everything up, and measure from the end of the warm-up to the end of the log."""
    bring_up(stack, options.devices, initial)
    say(f"live part at {options.pace:,} events/s, {options.warm_up} s of warm-up first")
    stack.start("live")
    stack.wait("the live part", lambda now: taken_in(now) > initial)
    time.sleep(options.warm_up)
    before, cpu_before, busy_before, began = stack.look(), stack.cpu_s(brokers), machine_busy_s(), time.monotonic()
    while not stack.ended("live"):
        time.sleep(LOOK_S)
        cpu_after = stack.cpu_s(brokers)
        busy_after, took_s = machine_busy_s(), time.monotonic() - began
    time.sleep(SETTLE_S)
    return figures(before, stack.look(), took_s) | {
        "cpu_share": {name: (cpu_after[name] - cpu_before[name]) / took_s for name in cpu_before if name in cpu_after},
        "machine_busy": (busy_after - busy_before) / took_s,
        "load": os.getloadavg()[0],
    }


def bring_up(stack: Stack, devices: int, initial: int) -> None:
    """Until the `initial` events are pooled, all devices are connected and have trained."""
    stack.start(*SERVICES)
    say("first cloud model")
    stack.wait("the first cloud model", lambda now: now.total(Metrics.cloud_versions.name) > 0)
    say("history")
    stack.start("history")
    stack.wait("the history", lambda now: stack.ended("history") and taken_in(now) >= initial)
    stack.wait("all devices", lambda now: now.total(Metrics.devices_connected.name) >= devices)
    stack.wait("everyone's first trainings", _Calm(Metrics.trainings.name))


def taken_in(now: Snapshot) -> float:
    """Events whose samples are pooled, wait for others to take their item, or were rejected."""
    return sum(now.total(one.name) for one in (Metrics.pooled, Metrics.samples_waiting, Metrics.rejected))


def figures(before: Snapshot, after: Snapshot, took_s: float) -> dict[str, Any]:
    """Ages in ms per stage and rates per second between two looks."""
    name, stages = Metrics.freshness_s.name, {}
    for stage in STAGES:
        ages = after.histogram(name, stage=stage).combine(before.histogram(name, stage=stage), -1)
        if not ages.count and stage not in TARGETS_S:
            continue  # a stage of which no process here tells ages
        stages[stage] = {f"p{round(100 * q)}_ms": 1000 * ages.quantile(q) for q in QUANTILES} | {"count": ages.count}
        if stage in TARGETS_S:
            target_ms = 1000 * TARGETS_S[stage]
            stages[stage] |= {"target_ms": target_ms, "reached": stages[stage]["p99_ms"] <= target_ms}
    counters = {
        "events": Metrics.pooled.name,
        "matches": Metrics.matches.name,
        "pushes": Metrics.pushes.name,
        "predictions": Metrics.predictions.name,
        "trainings": Metrics.trainings.name,
    }
    rates = {each: (after.total(series) - before.total(series)) / took_s for each, series in counters.items()}
    return {"stages": stages, "per_s": rates, "versions": after.total(Metrics.cloud_versions.name)}


def table(result: dict[str, Any]) -> list[str]:
    """The result for people."""
    lines = [
        "{devices} devices in {fleet_processes} processes, {pace_per_s:,} events/s for {seconds} s of {log}, "
        "{brokers} brokers, arms {arms}, epochs of {epoch}, a linger of {linger}".format(**result)
    ]
    lines += ["{machine}, {machine_busy:.2f} cores busy in all, load {load:.1f}".format(**result), ""]
    lines.append(f"{'stage':<10} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'target':>8}  count")
    for stage, row in result["stages"].items():
        ages = " ".join(f"{row[f'p{round(100 * q)}_ms']:>8,.0f}" for q in QUANTILES)
        target = f"{row['target_ms']:>8,.0f}" if "target_ms" in row else " " * 8
        verdict = "" if row.get("reached", True) else "  missed"
        lines.append(f"{stage:<10} {ages} {target}  {row['count']:,.0f}{verdict}")
    lines += ["", "per second: " + ", ".join(f"{name} {rate:,.1f}" for name, rate in result["per_s"].items())]
    lines.append("cores: " + ", ".join(f"{name} {share:.2f}" for name, share in result["cpu_share"].items()))
    return lines


def say(line: str) -> None:
    """Tell what is going on."""
    print(line, file=sys.stderr)


def _commands(
    folder: Path, kafka: str, mqtt: str, options: argparse.Namespace, live_from_ms: int, *, learned_ms: int
) -> dict[str, tuple[str, ...]]:
    bootstrap, log = ("--bootstrap", kafka), str(folder / "log.parquet")
    arms = options.arms.split(",")
    (folder / "task.json").write_text(json.dumps({"arms": arms}))
    share = (learned_ms - START_MS) * options.pace / 1000 / pl.scan_parquet(log).select(pl.len()).collect().item()
    devices = "all" if options.fleet_processes > 1 else str(options.devices)
    replay = ("replay", log, *bootstrap, "--json", "--throttle-groups", f"{FLOW_GROUP},{FLEET_GROUP}", "--fresh")
    return {
        # No second version within the run: the live part is minutes of event time.
        "train-cloud": (
            *("train-cloud", "--initial-log", log, "--initial-share", f"{share:.6f}", "--refresh", "1000h"),
            *("--keys", str(folder / "keys"), "--task", str(folder / "task.json"), *bootstrap),
        ),
        "flow": (
            *("flow", "--pool", str(folder / "pool"), "--state", str(folder / "flow"), *bootstrap),
            *("--epoch", options.epoch, "--linger", options.linger),
        ),
        "tunnel": ("tunnel", *bootstrap, "--mqtt", mqtt, "--drain", "1s"),
        "fleet": (
            *("fleet", "--devices", devices, *bootstrap, "--mqtt", mqtt),
            *("--processes", str(options.fleet_processes)),
            *("--cloud-key", str(folder / "keys" / "cloud.pub")),
            *("--state", str(folder / "fleet-state"), "--out", str(folder / "fleet")),
        ),
        "history": (*replay, "--until", str(live_from_ms)),
        "live": (*replay, "--from", str(live_from_ms), "--speed", "1"),
    }


def main() -> None:
    """Measure and print; exit code 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default="ml-1m", help="a name from `coda data list`, or `generated`")
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--pace", type=int, default=1000, help="events per second")
    parser.add_argument("--arms", default=",".join(ARMS), help="that devices train")
    parser.add_argument("--fleet-processes", type=int, default=1, help="that share the devices out")
    parser.add_argument("--epoch", default=EPOCH, help="of the dataflow")
    parser.add_argument("--linger", default=LINGER, help="of the dataflow")
    parser.add_argument("--warm-up", type=int, default=45, help="seconds of the live part that do not count")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--bootstrap", help="a real Kafka with empty topics")
    parser.add_argument("--mqtt", help="a real MQTT broker")
    parser.add_argument("--out", type=Path, help="keep logs and records of the processes here")
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    result = measured(measure, table, options)
    sys.exit(0 if all(row.get("reached", True) for row in result["stages"].values()) else 1)


if __name__ == "__main__":
    main()
