"""Everything that a simulation consists of, put together from its plan, and how it is run."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from device_sim.training import TrainingJob
from monitor.metrics import Metrics
from operators.user import UserState
from streams.fleet.settings import TOPIC_OF, Own
from streams.flow.settings import FlowSettings
from streams.flow.state import FLOW_ID
from streams.kafka.topics import MODELS, TOPICS
from streams.simulation.bus import SimulatedBus
from streams.simulation.devices import Devices
from streams.simulation.dice import Dice
from streams.simulation.faults import Faults
from streams.simulation.flow import Flow, opened
from streams.simulation.journal import Journal
from streams.simulation.kafka import SimulatedKafka
from streams.simulation.kafka import Weather as KafkaWeather
from streams.simulation.link import SimulatedLink
from streams.simulation.memory_db import Disk
from streams.simulation.mqtt import SimulatedBroker
from streams.simulation.network import Network, Weather
from streams.simulation.of_batches import Alike, Candidates
from streams.simulation.of_events import rows_of
from streams.simulation.people import People
from streams.simulation.plan import Kind, Plan
from streams.simulation.process import Process, Work
from streams.simulation.seen import Seen
from streams.simulation.snapshots import Snapshots
from streams.simulation.timeline import START_MS, Timeline, VirtualClock
from streams.simulation.trainer import Trainer, identity, signed
from streams.simulation.tunnel import TunnelWork
from streams.simulation.users import Users
from wire.candidates import CandidateBatch
from wire.event import Event, encode_event
from wire.identity import ModelId
from wire.task import Task

W = TypeVar("W", bound=Work)


class World:
    """One simulation, before its first moment. Close it, or use it as a context: the fleet's state is on disk."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.users = plan, Users(plan)
        self.timeline, self.journal = Timeline(), Journal()
        self.dice = Dice(plan.seed, self.timeline, self.journal)
        self.folder = Path(tempfile.mkdtemp(prefix="coda-simulation-", dir=_memory()))
        self.kafka = SimulatedKafka(
            self.timeline,
            self.dice.die("kafka"),
            self.journal,
            partitions=plan.partitions,
            weather=KafkaWeather(gap_share=plan.gap_share),
        )
        self.kafka.create(TOPICS)
        self.network = Network(self.timeline, self.dice.die("network"), Weather(plan.delay_ms))
        self.broker = SimulatedBroker(
            self.timeline, self.network, self.dice.die("mqtt"), self.journal, persistent=plan.persistent
        )
        self.disk, self.snapshots = Disk(), Snapshots()
        self.stopped_workers: set[int] = set()  # of the dataflow
        self.measured: list[Metrics] = []  # by every run of a process: it begins at zero, as a live one does
        self.flow: Process[Flow] = self._process("flow", self._begin_flow)
        self.tunnels: list[Process[TunnelWork]] = [
            self._process(name, partial(self._begin_tunnel, name))
            for name in (f"tunnel-{number}" for number in range(1, plan.tunnels + 1))
        ]
        self.people = People(self.timeline)
        self.fleet: Process[Devices] = self._process("fleet", self._begin_fleet)
        self.trainer: Process[Trainer] = self._process("trainer", self._begin_trainer)
        self.kafka_driver = SimulatedBus(self.kafka, VirtualClock(self.timeline)).producer()
        self.sometimes: set[str] = set()  # what this run has hit
        self.network.note = self.broker.note = self.sometimes.add
        self.seen = Seen()
        self.kafka.taps.append(self.seen.take)
        self.jobs: list[Callable[[TrainingJob], object]] = []  # are told of trainings
        self.latest_ms = START_MS  # of all wall clocks so far
        self.undisturbed: World | None = None
        self.newest_model = (1, 1)  # lineage and version that the trainer is to publish
        self.faults = Faults(self)
        for act in self.users.acts:
            self.timeline.after(act.at_ms, partial(self._do, act.event))

    @property
    def processes(self) -> "list[Process[Any]]":
        """All of them."""
        return [self.flow, *self.tunnels, self.fleet, self.trainer]

    @property
    def devices(self) -> Devices | None:
        """The fleet, while its process lives."""
        return self.fleet.work

    @property
    def dataflow(self) -> Flow | None:
        """The dataflow, while its processes live."""
        return self.flow.work

    @property
    def carriers(self) -> list[TunnelWork]:
        """The tunnels whose processes live."""
        return [tunnel.work for tunnel in self.tunnels if tunnel.work is not None]

    def logics(self, step: str) -> Iterator[Any]:
        """The logics of one stateful step of the dataflow, of all its workers."""
        for worker in self.dataflow.engine.workers if self.dataflow else ():
            yield from worker.logics(f"{FLOW_ID}.{step}")

    def user_states(self) -> Iterator[UserState]:
        """What the dataflow knows of each user."""
        for logic in self.logics("user"):
            yield from logic.users.states() if logic.users is not None else ()

    @property
    def newest(self) -> ModelId:
        """The cloud model that everybody should have in the end."""
        return identity(*self.newest_model)

    @property
    def given_up(self) -> int:
        """Queries that the gather gave up because a shard did not answer."""
        return int(sum(each.value(Metrics.matches_given_up, reason="shards") for each in self.measured))

    @property
    def clocks_jumped(self) -> bool:
        """Whether any process's clock did."""
        return any(fault.kind is Kind.CLOCK for fault in self.plan.faults)

    @property
    def candidates(self) -> Iterator[tuple[CandidateBatch, list[Alike]]]:
        """Every candidate of every batch, with the samples that it may be."""
        known = Candidates(self.seen.samples)
        for batch in self.seen.batches:
            for alike in known.of(batch):
                yield batch, alike

    def pooled(self, shard: int) -> set[int]:
        """The samples of a pool on disk."""
        return {row[0] for row in self.rows(shard)}

    def rows(self, shard: int) -> set[tuple[int, ...]]:
        """What a pool holds on disk."""
        name = f"shard-{shard}-of-{self.plan.shards}"
        return rows_of(opened(self.disk, name, self.settings.pool_spec, read_only=True).read())

    @property
    def _own(self) -> Own:
        return "behaviour" if self.plan.uploads else "events"

    @property
    def own(self) -> str:
        """The topic that says what users do."""
        return TOPIC_OF[self._own]

    @property
    def task(self) -> Task:
        """What devices are asked to do, small."""
        plan = self.plan
        return Task(
            task_version=0,
            min_samples=2,
            retrain_every=plan.retrain_every,
            arms=plan.arms,
            classifier_steps=2 if plan.classifier else 0,
            candidate_age_ms=plan.expiry_ms,
            idle_age_ms=10 * plan.expiry_ms,
        )

    @property
    def settings(self) -> FlowSettings:
        """The dataflow's."""
        plan = self.plan
        return FlowSettings(
            bootstrap="simulated",
            pool="pool",
            state="state",
            shards=plan.shards,
            processes=plan.processes,
            match_every=plan.match_every,
            candidates=plan.candidates,
            freshness_budget_s=plan.freshness_ms / 1000,
            lateness_s=plan.lateness_ms / 1000,
            window_count=plan.window_count * plan.shards,
            min_users=plan.min_users,
            epoch_ms=plan.epoch_ms,
        )

    def run(self, until_ms: int) -> None:
        """Let time pass until then."""
        self.timeline.run(until_ms)
        self.read_clocks()

    def read_clocks(self) -> None:
        """Note the latest wall clock; also before one is set back, for it may have been ahead between two looks."""
        self.latest_ms = max(self.latest_ms, *(process.clock.wall_ms() for process in self.processes))

    def publish_stranger(self, lineage: int, version: int, content: int = 0) -> None:
        """A cloud model that takes nobody's place."""
        self.kafka_driver.send(MODELS, "current", signed(lineage, version, content, replaces=False))

    def close(self) -> None:
        """Clear up."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _process(self, name: str, begin: Callable[[VirtualClock], W]) -> Process[W]:
        return Process(name, begin, self.timeline, self.dice.die(name), self.journal, pace_ms=self.plan.pace_ms)

    def _do(self, event: Event) -> None:
        self.kafka_driver.send(self.own, event.user_id, encode_event(event))

    def _bus(self, clock: VirtualClock) -> SimulatedBus:
        return SimulatedBus(self.kafka, clock)

    def _metrics(self) -> Metrics:
        self.measured.append(Metrics())
        return self.measured[-1]

    def _begin_flow(self, clock: VirtualClock) -> Flow:
        flow = Flow(
            self._bus(clock),
            clock,
            self._metrics(),
            self.settings,
            disk=self.disk,
            snapshots=self.snapshots,
            stopped=self.stopped_workers,
            note=self.sometimes.add,
        )
        if len(self.snapshots):
            self.sometimes.add("the dataflow went on from a snapshot")
        synced = sum(writes for _, writes in self.snapshots.of(f"{FLOW_ID}.shard"))
        if synced < sum(pool.store.writes for pool in flow.live()):
            self.sometimes.add("a snapshot was restored with a pool that is ahead of it")
        return flow

    def _begin_tunnel(self, name: str, clock: VirtualClock) -> TunnelWork:
        return TunnelWork(
            self._bus(clock), self.broker, clock, self._metrics(), name=name, expiry_ms=self.plan.expiry_ms
        )

    def _begin_fleet(self, clock: VirtualClock) -> Devices:
        link, die = SimulatedLink(self.broker, "fleet"), self.dice.die("training")
        devices = Devices(
            self._bus(clock),
            link,
            clock,
            metrics=self._metrics(),
            timeline=self.timeline,
            die=die,
            folder=self.folder,
            own=self._own,
            orders=self.people,
            begun=self._told,
        )
        if devices.fleet.devices:
            self.sometimes.add("a fleet went on from a snapshot")
        return devices

    def _told(self, job: TrainingJob) -> None:
        for told in self.jobs:
            told(job)

    def _begin_trainer(self, clock: VirtualClock) -> Trainer:
        return Trainer(self._bus(clock), self.task, clock, self._metrics(), lambda: self.newest_model)


def _memory() -> str | None:
    """A file system in memory, where there is one: a fleet's state is synced with every snapshot."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
