"""Memory under an hour of churn at full speed: does all that grows stop growing, in one process and without brokers?

    python -m benchmarks.soak                       200,000 users, 300,000 items, an hour of event time
    python -m benchmarks.soak --plot docs/soak.png --json runs/soak.json

Users come, do something for some minutes and are gone; items do the same more slowly. What they do goes through the
dataflow as `coda flow` runs it (Bytewax, state on disk, the pool); samples go to the cloud trainer, batches through
the tunnel's ledger to a fleet of devices that turn over with their users; what these ask for comes back as events do.
Every bound is set so low that it is reached within the first half. Exits with 1 where memory grows by more than 5 %
over the second half, by a line fitted to it.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.recovery import RecoveryConfig
from bytewax.testing import run_main

from benchmarks.devices import memory_mb
from device_sim.fleet import Fleet
from device_sim.scoreboard import Scoreboard
from device_sim.stimulus import OwnEvent
from models.cloud_model import random_model
from models.sample import decode_samples
from monitor.metrics import Metrics
from streams.bus import Message
from streams.flow.blame import Blame
from streams.flow.dataflow import build_flow
from streams.flow.pool_shards import PoolShards
from streams.flow.settings import FlowSettings
from streams.flow.sink import KafkaOutput, KafkaWriter, Outgoing
from streams.flow.state import prepare_state
from streams.flow.state_shards import StateShards
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.topics import CANDIDATES, DEAD_LETTERS, EVENTS, REQUESTS, SAMPLES
from streams.training.cloud_trainer import CloudTrainer, Learned
from streams.training.fleet_reports import FleetReports
from streams.tunnel.ledger import Ledger
from streams.tunnel.unanswered import Unanswered
from wire.batch import decode_batch
from wire.clock import SystemClock
from wire.event import Event, encode_event
from wire.moments import WallMs
from wire.task import Task
from wire.telemetry import Ack, MatchRequest, Training, decode_report

MOST_GROWTH = 0.05
STEP_MS = 5_000  # events of so much time at once
VERSIONS = 6  # of the cloud model
ONE_DEVICE_OF = 40  # users


@dataclass(frozen=True)
class Churn:
    """How much comes and goes in `minutes` of event time: a tenth of the users at a time, a fifth of the items."""

    users: int = 200_000
    items: int = 300_000
    minutes: int = 60
    events_per_s: int = 200
    seed: int = 0

    @property
    def length_ms(self) -> int:
        """From the first event to the last."""
        return self.minutes * 60_000

    def steps(self, start_ms: int) -> Iterator[list[Event]]:
        """Events in order of time, `STEP_MS` of them at once; what everybody likes turns around with every version."""
        rng, number = np.random.default_rng(self.seed), 0
        for at_ms in range(0, self.length_ms, STEP_MS):
            n = self.events_per_s * STEP_MS // 1000
            share = at_ms / self.length_ms
            user = (0.9 * self.users * share + 0.1 * self.users * rng.random(n)).astype(int)
            item = (0.8 * self.items * share + 0.2 * self.items * rng.random(n) ** 2).astype(int)
            label = ((item + int(VERSIONS * share)) % 2 == (rng.random(n) < 0.2)).astype(int)
            when = start_ms + at_ms + np.sort(rng.integers(0, STEP_MS, n))
            rows = zip(user.tolist(), item.tolist(), label.tolist(), when.tolist(), strict=True)
            yield [
                Event(
                    event_id=f"e{number + k}",
                    user_id=f"user-{u}",
                    item_id=f"item-{i}",
                    category_id=f"category-{i % 400}",
                    event_type="view",
                    label=y,
                    timestamp=t,
                )
                for k, (u, i, y, t) in enumerate(rows)
            ]
            number += n

    def settings(self, folder: Path) -> FlowSettings:
        """The dataflow's, with bounds that the first third of the time reaches."""
        third_s = 60 * self.minutes / 3
        return FlowSettings(
            bootstrap="",
            pool=str(folder / "pool"),
            state=str(folder / "state"),
            candidates=200,
            lateness_s=third_s / 4,
            window_count=self.events_per_s * self.minutes * 10,
            users=self.users // 5,
            user_days=third_s / 2 / 86_400,
            epoch_ms=2000,
        )


@dataclass(frozen=True)
class Look:
    """What there was at one moment of event time."""

    minute: float
    memory_mb: float
    users: float
    pooled: float
    waiting_samples: int
    items_known: int
    pushes_open: int
    payloads: int
    devices: int


class Everything:
    """The parts around the dataflow, driven by what it gives; event time is everybody's wall clock."""

    def __init__(self, churn: Churn, folder: Path, start_ms: int) -> None:
        nothing = np.zeros(0, np.uint32)
        model = replace(random_model(nothing, nothing, churn.seed), trained_until=start_ms)
        refresh_ms = churn.length_ms // VERSIONS
        limit_bytes = 32_768 + 72 * churn.items // 8
        self.metrics = Metrics()
        self.trainer = CloudTrainer(
            model, Learned(start_ms, {}), self.metrics, refresh_ms=refresh_ms, seed=0, limit_bytes=limit_bytes
        )
        self.fleet = Fleet(self.metrics, seed=churn.seed)
        self.fleet.deliver_task(Task(task_version=1), 0, start_ms)
        self.fleet.deliver_model(model, 0, start_ms)
        self.ledger = Ledger()
        self.unanswered: Unanswered[bytes] = Unanswered(self.metrics, most_bytes=churn.users * 100)
        self.asked: deque[str] = deque()
        self.looks: list[Look] = []
        self._board = Scoreboard(folder / "fleet", {})
        self._reports = FleetReports(self.metrics)
        self._churn, self._start_ms, self._now_ms = churn, start_ms, start_ms
        self._samples = 0
        self.passed = 0  # events that are through the dataflow

    def happen(self, events: Sequence[Event]) -> None:
        """What users do, seen by their devices; then everything whose time has come."""
        self._now_ms = events[-1].timestamp
        own = [OwnEvent(e, e.timestamp) for e in events if int(e.user_id[5:]) % ONE_DEVICE_OF == 0]
        for user_id in dict.fromkeys(e.event.user_id for e in own):
            if user_id not in self.fleet.devices:
                self.fleet.connected(user_id, self._now_ms)
        self.fleet.handle_events(own, self._now_ms)
        self.fleet.tick(self._now_ms)
        self.fleet.train_due(self._now_ms, time.thread_time)
        self._hear()
        self.fleet.retire(most=self._churn.users // 10 // ONE_DEVICE_OF)
        self._board.add(self.fleet.take_predictions())
        self._board.add_trainings(self.fleet.take_trainings())
        self._board.flush()
        for device in self.ledger.tick(self._now_ms):
            self.unanswered.pop(device)
        if self.trainer.due(caught_up=True):
            trial = self.trainer.train()
            if trial and trial.passed:
                self.fleet.deliver_model(self.trainer.model, 0, self._now_ms)
        self.looks.append(self._look())

    def take_samples(self, values: Sequence[bytes]) -> None:
        """Samples for the cloud trainer."""
        offsets = np.arange(self._samples, self._samples + len(values))
        self._samples += len(values)
        self.trainer.take(decode_samples(values), np.zeros_like(offsets), offsets)

    def push(self, raw: bytes) -> None:
        """A batch on its way down; only some users have a device that answers."""
        batch = decode_batch(raw)
        self.ledger.pushed(batch.user_id, batch.batch_seq, self._now_ms + self._churn.length_ms // 6)
        self.unanswered.put(batch.user_id, raw, len(raw))
        if batch.user_id in self.fleet.devices:
            self.fleet.deliver_batch(batch.user_id, raw, self._now_ms)

    def _hear(self) -> None:
        for user_id, publish in self.fleet.take_outgoing():
            report = decode_report(publish.payload)
            if isinstance(report, Ack) and self.ledger.acked(user_id, report.batch_seq):
                self.unanswered.pop(user_id)
            elif isinstance(report, Training):
                self._reports.add(report, WallMs(self._now_ms))
            elif isinstance(report, MatchRequest):
                self.asked.append(publish.payload.decode())

    def _look(self) -> Look:
        return Look(
            minute=(self._now_ms - self._start_ms) / 60_000,
            memory_mb=memory_mb(),
            users=self.metrics.value(Metrics.users),
            pooled=self.metrics.value(Metrics.pool_live, shard="0"),
            waiting_samples=self.trainer.waiting,
            items_known=len(self.trainer.model.item_keys),
            pushes_open=self.ledger.tally().outstanding,
            payloads=len(self.unanswered),
            devices=len(self.fleet.devices),
        )


class _Source(FixedPartitionedSource[Message, int]):
    """Events as Kafka would have them, made as the dataflow takes them, and what devices ask for."""

    def __init__(self, steps: Iterator[list[Event]], everything: Everything) -> None:
        self._steps, self._everything = steps, everything

    def list_parts(self) -> list[str]:
        return ["events/0"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "_Part":  # noqa: ARG002
        return _Part(self._steps, self._everything)


class _Part(StatefulSourcePartition[Message, int]):
    def __init__(self, steps: Iterator[list[Event]], everything: Everything) -> None:
        self._steps, self._everything = steps, everything
        self._offset = self._events = self._at_once = 0

    def next_batch(self) -> list[Message]:
        if self._events - self._everything.passed > 3 * self._at_once:
            return []  # Bytewax would take an hour's events before it looks at any
        events = next(self._steps)  # its end is the stream's
        self._events += len(events)
        self._at_once = len(events)
        self._everything.happen(events)
        messages = [self._message(EVENTS, encode_event(event), event.timestamp) for event in events]
        while self._everything.asked:
            asked = self._everything.asked.popleft().encode()
            messages.append(self._message(REQUESTS, asked, events[-1].timestamp))
        return messages

    def snapshot(self) -> int:
        return self._offset

    def _message(self, topic: str, value: bytes, at_ms: int) -> Message:
        self._offset += 1
        return Message(topic, 0, self._offset, b"", value, at_ms, {})


class _Sink(KafkaOutput):
    """Hands what the dataflow gives to the parts around it."""

    def __init__(self, everything: Everything) -> None:
        super().__init__(KafkaBus(KafkaSettings()), 0, Blame())
        self._everything = everything

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> KafkaWriter:  # noqa: ARG002
        return _Writer(self._everything)


class _Writer(KafkaWriter):
    def __init__(self, everything: Everything) -> None:
        self._everything = everything

    def write_batch(self, values: list[Outgoing]) -> None:
        for value in values:
            if value.topic in (SAMPLES, DEAD_LETTERS):
                self._everything.passed += len(value.values)
            if value.topic == SAMPLES:
                self._everything.take_samples(value.values)
            elif value.topic == CANDIDATES:
                for raw in value.values:
                    self._everything.push(raw)

    def snapshot(self) -> None:
        pass

    def close(self) -> None:
        pass


def soak(churn: Churn, say: Callable[[str], None]) -> list[Look]:
    """Let all of it happen; what there was at every step."""
    start_ms = SystemClock().wall_ms() - churn.length_ms - 60_000  # nothing comes from the future
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = churn.settings(folder)
        everything = Everything(churn, folder, start_ms)
        prepare_state(Path(settings.state))
        source: Any = _Source(_told(churn.steps(start_ms), everything, say), everything)
        with (
            PoolShards(Path(settings.pool), 1, settings.pool_spec) as pools,
            StateShards(Path(settings.state), 1) as states,
        ):
            flow = build_flow(
                settings,
                source,
                _Sink(everything),
                pools,
                states,
                clock=SystemClock(),
                metrics=everything.metrics,
                model=lambda: everything.trainer.model,
                blame=Blame(),
            )
            run_main(  # type: ignore[no-untyped-call]
                flow,
                epoch_interval=timedelta(milliseconds=settings.epoch_ms),
                recovery_config=RecoveryConfig(settings.state),  # type: ignore[no-untyped-call]
            )
    return everything.looks


def _told(steps: Iterator[list[Event]], everything: Everything, say: Callable[[str], None]) -> Iterator[list[Event]]:
    for number, events in enumerate(steps):
        if number % 24 == 23:
            say(line(everything.looks[-1]))
        yield events


def growth(looks: Sequence[Look]) -> float:
    """By what share of its mean memory grows over the second half of `looks`, by a line fitted to it."""
    half = looks[len(looks) // 2 :]
    memory = np.array([look.memory_mb for look in half])
    slope, _ = np.polyfit(np.arange(len(half)), memory, 1)
    return float(slope * (len(half) - 1) / memory.mean())


def line(look: Look) -> str:
    """One moment for people."""
    return (
        f"{look.minute:5.1f} min  {look.memory_mb:6,.0f} MB  users {look.users:7,.0f}  pooled {look.pooled:7,.0f}  "
        f"waiting {look.waiting_samples:7,}  items {look.items_known:6,}  pushes {look.pushes_open:6,}  "
        f"payloads {look.payloads:5,}  devices {look.devices:4,}"
    )


def plot(looks: Sequence[Look], path: Path) -> None:
    """Memory, and each part as a share of the most there ever was of it, over event time."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, and only needed here

    figure = Figure(figsize=(8, 6), layout="constrained")
    memory, parts = figure.subplots(2, 1, sharex=True)
    minutes = [look.minute for look in looks]
    memory.plot(minutes, [look.memory_mb for look in looks])
    memory.set(ylabel="resident memory, MB", ylim=(0, None))
    for name in ("users", "pooled", "waiting_samples", "items_known", "pushes_open", "payloads", "devices"):
        values = np.array([getattr(look, name) for look in looks], float)
        parts.plot(minutes, values / max(values.max(), 1), label=f"{name.replace('_', ' ')} ≤ {values.max():,.0f}")
    parts.set(xlabel="event time, minutes", ylabel="share of its maximum")
    parts.legend(fontsize="small", ncols=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Soak, print, plot; exit code 1 when memory grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in asdict(Churn()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    parser.add_argument("--plot", type=Path, help="draw memory and parts here")
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    churn, began_s = Churn(**{name: getattr(options, name) for name in asdict(Churn())}), time.monotonic()
    looks = soak(churn, lambda text: print(text, file=sys.stderr, flush=True))
    grown = growth(looks)
    print(line(looks[-1]))
    cpu_s = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    print(
        f"{churn.events_per_s * churn.minutes * 60:,} events in {time.monotonic() - began_s:.0f} s, {cpu_s:.0f} of CPU"
    )
    print(f"memory flat within {abs(grown):.1%} over its second half ({'grows' if grown > 0 else 'falls'})")
    if options.plot:
        plot(looks, options.plot)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_bytes(msgspec.json.encode({"growth": grown, "churn": asdict(churn), "looks": looks}))
    sys.exit(1 if grown > MOST_GROWTH else 0)


if __name__ == "__main__":
    main()
