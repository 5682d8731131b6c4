"""The cloud trainer of a simulation: models drawn from their numbers, and tasks of what the fleet reports.

Nothing is learned here: a version is a random model of its number and lineage. What devices report is summed up, and
tasks are issued, by the code that does it live.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models.artefact import model_from_bytes, model_to_bytes
from models.cloud_model import CloudModel, random_model
from streams.kafka.topics import TASKS, TELEMETRY
from streams.simulation.kafka import SimulatedBus
from streams.simulation.timeline import VirtualClock
from streams.simulation.users import CATEGORIES, ITEMS
from streams.training.fleet_reports import FleetReports
from streams.training.published import published_task
from streams.training.task_desk import TaskDesk
from wire.identity import ModelId
from wire.ids import item_keys
from wire.malformed import Malformed
from wire.signing import open_model, sign_model
from wire.task import Task
from wire.telemetry import Training, decode_report

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key()
TASK_EVERY_MS = 10_000
STRANGER = 90  # lineages from this number on take nobody's place


@lru_cache(maxsize=64)
def made(lineage: int, version: int, content: int = 0) -> CloudModel:
    """A model that is the same in every simulation; another `content` under the same number is another model."""
    seed = lineage * 1000 + version * 10 + content
    model = random_model(item_keys(ITEMS), item_keys(CATEGORIES), seed=seed, version=version)
    gone = tuple(lineage_name(before) for before in range(lineage - 1, 0, -1)) if lineage < STRANGER else ()
    return replace(model, lineage=lineage_name(lineage), replaces=gone)


def lineage_name(number: int) -> str:
    """Of lineage number 1, 2, …"""
    return f"{number:016x}"


@lru_cache(maxsize=64)
def signed(lineage: int, version: int, content: int = 0, *, replaces: bool = True) -> bytes:
    """The model as it travels; one that does not say what it `replaces` takes nobody's place."""
    model = made(lineage, version, content)
    return sign_model(model_to_bytes(model if replaces else replace(model, replaces=())), PRIVATE)


@lru_cache(maxsize=64)
def identity(lineage: int, version: int) -> ModelId:
    """Of a model as devices know it, its message's digest included."""
    return model_from_bytes(open_model(signed(lineage, version), PUBLIC)).id


class Trainer:
    """Reads all telemetry from the beginning; `lineage` says which one is in use."""

    def __init__(self, bus: SimulatedBus, task: Task, clock: VirtualClock, lineage: Callable[[], int]) -> None:
        self.reports = FleetReports()
        self._bus, self._clock = bus, clock
        self._desk = TaskDesk(task, PRIVATE, published_task(bus, PUBLIC))
        self._producer = bus.producer()
        everything = dict.fromkeys(bus.bounds(TELEMETRY))
        self._telemetry = bus.consumer("trainer", [TELEMETRY], "earliest", assign=everything)
        self._tasked_ms = clock.steady_ms() - TASK_EVERY_MS
        self._lineage = lineage

    @property
    def task(self) -> Task | None:
        """The newest one that devices may have."""
        return self._desk.current

    @property
    def behind(self) -> int:
        """How many reports it has not read."""
        ends = self._bus.kafka.topics[TELEMETRY]
        return sum(log.end - max(self._telemetry.position((TELEMETRY, n)), 0) for n, log in enumerate(ends))

    def kill(self) -> None:
        """The process is gone."""
        self._bus.kill()

    def step(self) -> None:
        """Hear what came, and issue a task when it is time."""
        now_ms = self._clock.steady_ms()
        for message in self._telemetry.poll(1000, 0):
            self._hear(message.value)
        if now_ms - self._tasked_ms >= TASK_EVERY_MS:
            self._tasked_ms, name = now_ms, lineage_name(self._lineage())
            if self.task is None or self.task.lineage != name or self.reports.moved(self.task):
                self._issue(name)

    def _issue(self, lineage: str) -> None:
        raw = self._desk.issue(self.reports, lineage)
        if raw is not None:
            self._producer.send(TASKS, b"current", raw)

    def _hear(self, raw: bytes) -> None:
        try:
            report = decode_report(raw)
        except Malformed:
            return
        if isinstance(report, Training) and report.model.lineage == lineage_name(self._lineage()):
            self.reports.add(report)
