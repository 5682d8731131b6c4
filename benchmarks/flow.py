"""The dataflow on a real log from Kafka: events per second, where the time goes, and what a steady pace costs.

    python -m benchmarks.flow                                    embedded Kafka
    python -m benchmarks.flow --bootstrap 127.0.0.1:9092         a Kafka whose topics are still empty
    python -m benchmarks.flow --json --processes 1,2 --events 200000

Throughput counts events from Kafka to the pool, due matches sent included, by the dataflow's own metrics, without the
first fifth of the events and the last twentieth. The reference in the same run is a bare Bytewax flow with our source
that only counts. On a real Kafka the events lie there before a dataflow starts; the embedded one drops what it cannot
hold, so there they are fed in as positions come back, by this process, on the same cores.

Users of a rating site come one after the other, so a few make all events of a moment, which spares a dataflow much of
what it does for each user. So on the embedded broker the same is measured with a log whose users are all busy at once,
and both with matching off as well.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from socket import socket
from typing import Any

import polars as pl
import torch

from benchmarks import flow_split
from benchmarks.flow_profile import profile
from benchmarks.paced_log import paced_log
from benchmarks.pool import load_samples
from benchmarks.scrape import Snapshot, scrape, together
from models.artefact import model_to_bytes
from models.cloud_model import CloudModel
from models.cloud_trainer import train_first
from monitor.metrics import Metrics
from streams.kafka.admin import ensure_topics
from streams.kafka.bounds import bounds
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.lag import GroupPositions
from streams.kafka.producer import CheckedProducer
from streams.kafka.topics import EVENTS, FLOW_GROUP, MODELS
from streams.logs.data import get_log, log_named
from streams.logs.event_log import encode_events, load_log
from streams.replay.throttle import Throttle
from wire.signing import new_keys, sign_model

INITIAL = 60_000  # samples that the cloud model is trained on
# Shares of the events between which the clock runs: start-up and an empty pool are not what is asked, nor the 5 s for
# which the last events that are ahead of others wait for these (`operators.event_time`).
WARM, NEARLY = 0.2, 0.95
FEED = 2_000
LOOK_S = 0.1
PATIENCE_S = 600
PACED_S = 20
SPLIT_TURNS = 3
USERS = 2_000  # who are busy at once: some 790 of them make the 1,000 events of a pass
# A user's first event makes a match due all the same, of as little as can be.
NO_MATCHING = ["--match-every", str(1 << 30), "--freshness-budget", "36500d", "--candidates", "2", "--no-random"]
UNMATCHED = {"match_every": 1 << 30, "freshness_budget_s": 36500 * 86_400, "candidates": 2, "random": False}
MANY, FEW = 1000, 50  # events in a pass: at full speed, and at 1,000 a second, when passes are 50 ms apart
CPU = "process_cpu_seconds_total"
ENDS = (
    Metrics.pooled.name,
    Metrics.samples_waiting.name,
    Metrics.rejected.name,
)  # of an event


class Load:
    """The events as they travel, and a model that knows them; as logged, or of so many `users` who act by turns."""

    def __init__(self, name: str, events: int, model: CloudModel | None = None, first: int = 0, users: int = 0) -> None:
        every = _by_turns(name, users, first + events) if users else load_log(get_log(log_named(name), _say))
        log = every.slice(first, events)
        self.keys = [user.encode() for user in log["user_id"].to_list()]
        self.values = encode_events(log)
        self.largest = max(map(len, self.values))
        self.model = model or train_first([load_samples(name, INITIAL)], seed=0)

    def __len__(self) -> int:
        return len(self.values)

    def part(self, first: int, end: int) -> "Load":
        """The events `first` … `end` - 1."""
        part = copy(self)
        part.keys, part.values = self.keys[first:end], self.values[first:end]
        return part


def publish(settings: KafkaSettings, model: CloudModel) -> None:
    """Make the topics and put the model there."""
    ensure_topics(settings)
    producer = CheckedProducer(settings)
    producer.send(MODELS, b"current", sign_model(model_to_bytes(model), new_keys()[0]))
    producer.flush()


def feed(settings: KafkaSettings, load: Load, group: str, pace_per_s: float | None = None) -> None:
    """Produce all events: as fast as the reader lets, or at a pace."""
    producer = CheckedProducer(settings, linger_ms=0 if pace_per_s else 5)
    forgetful = KafkaBus(settings).forgetful
    began, sent, step = time.monotonic(), 0, 10 if pace_per_s else FEED
    with GroupPositions(settings, group) as positions:
        throttle = Throttle([positions], EVENTS, None)
        throttle.seen(load.largest)
        while sent < len(load):
            while forgetful and throttle.allowance(time.monotonic(), len(producer)) < step:
                producer.poll()
                time.sleep(0.002)
            producer.send_many(EVENTS, load.keys[sent : sent + step], load.values[sent : sent + step])
            throttle.sent(step)
            sent += step
            if pace_per_s:
                time.sleep(max(0.0, began + sent / pace_per_s - time.monotonic()))
    producer.flush()


class Run:
    """One dataflow as processes with metrics, and the moments at which it was seen to be how far."""

    def __init__(self, command: Sequence[str], processes: int) -> None:
        self._ports = _free_ports(processes)
        self._processes = processes
        self._child = subprocess.Popen([*command, "--metrics-port", str(self._ports[0])], stderr=subprocess.DEVNULL)
        self.seen: list[tuple[float, float, float]] = []  # wall clock, CPU seconds, events

    def snapshot(self) -> Snapshot:
        """All processes' metrics; of those that do not serve yet, none."""
        found = []
        for port in self._ports:
            try:
                found.append(scrape(f"http://127.0.0.1:{port}/metrics"))
            except OSError:
                continue
        return together(found)

    def wait(self, events: int) -> None:
        """Until so many events are pooled, wait for others, or are rejected."""
        deadline, done = time.monotonic() + PATIENCE_S, 0.0
        while done < events:
            if self._child.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the dataflow ended or stalled at {done:,.0f} of {events:,} events")
            snapshot = self.snapshot()
            done = sum(map(snapshot.total, ENDS))
            self.seen.append((time.monotonic(), snapshot.total(CPU), done))
            time.sleep(LOOK_S)

    def rates(self, events: int) -> dict[str, float]:
        """Events per second, and per CPU second of its processes, after the warm-up and before the last of them."""
        begin, *looks = [look for look in self.seen if look[2] >= WARM * events]
        end = next(look for look in looks if look[2] >= NEARLY * events)
        wall_s, cpu_s, done = (last - first for first, last in zip(begin, end, strict=True))
        return {"events_per_s": _per(done, wall_s), "events_per_core_s": _per(done, cpu_s)}

    def stop(self) -> None:
        """End it cleanly."""
        self._child.terminate()
        self._child.wait(60)


@contextmanager
def broker(bootstrap: str | None) -> Iterator[KafkaSettings]:
    """The Kafka given, or an embedded one for the while."""
    if bootstrap:
        yield KafkaSettings(bootstrap)
    else:
        with EmbeddedKafka() as embedded:
            yield KafkaSettings(embedded.bootstrap)


def throughput(load: Load, bootstrap: str | None, processes: int, *flags: str) -> dict[str, float]:
    """Events per second of the dataflow, which gets further `flags`; of the bare one with `processes` 0."""
    with broker(bootstrap) as settings, tempfile.TemporaryDirectory() as folder:
        if not bootstrap:
            publish(settings, load.model)
        group = FLOW_GROUP
        if processes:
            run = Run([*_flow_command(settings, folder, processes), *flags], processes)
        else:
            run = Run([sys.executable, "-m", "benchmarks.bare_flow", settings.bootstrap, folder], 1)
        feeder = threading.Thread(target=feed, args=(settings, load, group), daemon=True)
        if not bootstrap:
            feeder.start()
        run.wait(len(load))
        found = run.snapshot()
        run.stop()
        return {
            **run.rates(len(load)),
            "matches": found.total(Metrics.matches.name),
            "pool_live": found.total(Metrics.pool_live.name),
        }


def paced(load: Load, later: Load, bootstrap: str | None, pace_per_s: float) -> dict[str, float]:
    """What comes at a steady pace, `later`, to a dataflow that took `load` at full speed: its age at the pool and in a
    candidate batch, and the CPU for each event, also as a multiple of that at full speed in the same process.
    """
    with broker(bootstrap) as settings, tempfile.TemporaryDirectory() as folder:
        publish(settings, load.model)
        run = Run(_flow_command(settings, folder, 1), 1)
        if not bootstrap:
            threading.Thread(target=feed, args=(settings, load, FLOW_GROUP), daemon=True).start()
        run.wait(len(load))
        start = run.snapshot()
        feed(settings, later, FLOW_GROUP, pace_per_s)
        run.wait(len(load) + len(later))
        end = run.snapshot()
        full_speed = run.rates(len(load))["events_per_core_s"]
        run.stop()
    cpu_s = end.total(CPU) - start.total(CPU)
    figures = {"cpu_us_per_event": 1e6 * cpu_s / len(later), "of_full_speed": full_speed * cpu_s / len(later)}
    for stage in ("pooled", "matched"):
        name = Metrics.freshness_s.name
        ages = end.histogram(name, stage=stage).combine(start.histogram(name, stage=stage), -1)
        figures |= {f"{stage}_p{round(100 * q)}_ms": 1000 * ages.quantile(q) for q in (0.5, 0.99)}
    return figures


def _by_turns(name: str, users: int, events: int) -> pl.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        paced_log(name, users, -(-events // users), 1000, _say).write_parquet(path)
        return load_log(path)


def _per(done: float, seconds: float) -> float:
    return done / seconds if seconds > 0 else float("nan")


def _flow_command(settings: KafkaSettings, folder: str, processes: int) -> list[str]:
    command = [sys.executable, "-m", "streams.cli", "flow", "--bootstrap", settings.bootstrap]
    command += ["--pool", f"{folder}/pool", "--state", f"{folder}/state", "--pool-age", "100000d"]
    return [*command, "--processes", str(processes), "--shards", str(max(1, processes))]


def _free_ports(n: int) -> list[int]:
    """A port with n - 1 free ones after it."""
    while True:
        sockets = [socket() for _ in range(n)]
        try:
            sockets[0].bind(("127.0.0.1", 0))
            first = int(sockets[0].getsockname()[1])
            for offset, other in enumerate(sockets[1:], 1):
                other.bind(("127.0.0.1", first + offset))
        except (OSError, OverflowError):
            continue
        else:
            return list(range(first, first + n))
        finally:
            for held in sockets:
                held.close()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything."""
    _say(f"training a cloud model on {INITIAL:,} samples of {options.log}")
    end = options.events + PACED_S * options.pace
    logs = {"as logged": Load(options.log, end)}
    if not options.bootstrap:
        logs["by turns"] = Load(options.log, end, logs["as logged"].model, users=USERS)
    loads = {kind: log.part(0, options.events) for kind, log in logs.items()}
    load = loads["as logged"]
    if options.bootstrap:
        _fill(KafkaSettings(options.bootstrap), load)
    flows: dict[str, tuple[Load, int, list[str]]] = {"bare": (load, 0, [])}
    for kind, events in loads.items():
        flows |= {kind: (events, 1, []), f"{kind}, matching off": (events, 1, NO_MATCHING)}
    flows |= {f"{n} processes": (load, n, []) for n in map(int, options.processes.split(",")) if n > 1}
    result: dict[str, Any] = {
        "log": options.log,
        "events": len(load),
        "broker": "Kafka" if options.bootstrap else "embedded",
        "machine": f"{platform.processor() or platform.machine()}, Python {platform.python_version()}",
        "flows": {},
        "pace_per_s": options.pace,
        "paced": {},
        "profile": {},
    }
    for name, (events, processes, flags) in flows.items():
        _say(f"dataflow, {name}")
        result["flows"][name] = throughput(events, options.bootstrap, processes, *flags)
    for kind, log in logs.items():
        _say(f"{kind}: full speed, then {options.pace:,} events/s")
        later = log.part(options.events, end)
        result["paced"][kind] = paced(loads[kind], later, options.bootstrap, options.pace)
    for kind, settings in {"as logged": {}, "by turns": UNMATCHED}.items():
        for at_a_time in (MANY, FEW) if kind in loads else ():
            _say(f"profile, {kind}")
            name = f"{kind}, matching {'off' if settings else 'on'}, {at_a_time} events in a pass"
            result["profile"][name] = profile(loads[kind].values, load.model, at_a_time, **settings)
    _say("several processes against one, without Kafka")
    several = [*map(int, options.split.split(","))]
    result["split"] = flow_split.measure(load.keys, load.values, load.model, SPLIT_TURNS, several)
    return result


def _fill(settings: KafkaSettings, load: Load) -> None:
    ensure_topics(settings)
    if any(end for _, end in bounds(settings, EVENTS).values()):
        sys.exit(f"Kafka at {settings.bootstrap} has events already: give one whose topics are empty")
    publish(settings, load.model)
    feed(settings, load, FLOW_GROUP)


def table(result: dict[str, Any]) -> list[str]:
    """The result for people."""
    bare = result["flows"]["bare"]["events_per_core_s"]
    lines = [f"{result['events']:,} events of {result['log']}, {result['broker']} broker; {result['machine']}", ""]
    lines.append("flow                     events/s  per core-second  of bare  matches")
    for name, figures in result["flows"].items():
        rate, core, matches = figures["events_per_s"], figures["events_per_core_s"], figures["matches"]
        lines.append(f"{name:<23}  {rate:>8,.0f}  {core:>15,.0f}  {core / bare:>7.1%}  {matches:>7,.0f}")
    lines += ["", f"at {result['pace_per_s']:,} events/s, one process:"]
    for kind, slow in result["paced"].items():
        ages = [f"{name.replace('_', ' ')[:-3]} {ms:.0f} ms" for name, ms in slow.items() if name.endswith("_ms")]
        cost, times = slow["cpu_us_per_event"], slow["of_full_speed"]
        lines.append(f"{kind}: {cost:.0f} µs of CPU per event, {times:.2f} times that at full speed; {', '.join(ages)}")
    lines += ["", "without Kafka:"]
    for events, found in result["profile"].items():
        lines.append(f"{events}: {found['events_per_core_s']:,.0f} events per core-second")
        lines += [f"       {step:<30} {share:>4.0%}" for step, share in found["shares"].items()]
    return [*lines, "", *flow_split.table(result["split"])]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default="ml-1m")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--processes", default="1,2", help="those beyond 1 as well")
    parser.add_argument("--split", default="2", help="processes without Kafka, against one")
    parser.add_argument("--pace", type=int, default=1000)
    parser.add_argument("--bootstrap", default=None)
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = measure(options)
    print("\n".join(table(result)))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
