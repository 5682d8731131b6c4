"""The cloud trainer of a simulation: a `TrainingService` as it runs live, whose versions are drawn from their numbers.

Nothing is learned here: a version is a random model of its number and lineage, due when the simulation wants it.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models.artefact import model_from_bytes, model_to_bytes
from models.cloud_model import CloudModel, random_model
from monitor.metrics import Metrics
from streams.simulation.bus import SimulatedBus
from streams.simulation.timeline import VirtualClock
from streams.simulation.users import CATEGORIES, ITEMS
from streams.training.cloud_trainer import CloudTrainer, Learned, Trial
from streams.training.published import published_model, published_task
from streams.training.service import TrainingService
from streams.training.task_desk import TaskDesk
from wire.identity import ModelId
from wire.ids import item_keys
from wire.signing import open_model, sign_model
from wire.task import Task

Wanted = tuple[int, int]  # lineage and version
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key()
STRANGER = 90  # lineages from this number on take nobody's place


@lru_cache(maxsize=64)
def made(lineage: int, version: int, content: int = 0) -> CloudModel:
    """A model that is the same in every simulation; another `content` under the same number is another model.

    By its bias its logits are told from another's where they travel, in steps of a sixteenth.
    """
    seed = lineage * 1000 + version * 10 + content
    model = random_model(item_keys(ITEMS), item_keys(CATEGORIES), seed=seed, version=version)
    bias = np.random.default_rng(seed).uniform(-2, 2, 1).astype(np.float32)
    model = replace(model, head=replace(model.head, b2=bias))
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


class Versions(CloudTrainer):
    """Makes the version that is `wanted` (lineage and number) as soon as the one in use is older."""

    def __init__(self, model: CloudModel, learned: Learned, metrics: Metrics, wanted: Callable[[], Wanted]) -> None:
        super().__init__(model, learned, metrics, refresh_ms=0, seed=0)
        self._wanted = wanted

    def due(self, *, caught_up: bool) -> bool:
        """Whether another version of this lineage is wanted."""
        del caught_up
        lineage, version = self._wanted()
        return self.model.lineage == lineage_name(lineage) and self.model.version < version

    def train(self, progress: object = None) -> Trial:
        """Make it, and count what came as learned; no gate holds it back."""
        del progress
        self.model = made(*self._wanted())
        self.learned = Learned(self.learned.initial_until, dict(self._read))
        self._new.clear()
        return Trial(challenger=0.0, in_use=1.0)


class Trainer:
    """One run of the trainer, from what is published on; another lineage than that begins with this run."""

    def __init__(
        self, bus: SimulatedBus, task: Task, clock: VirtualClock, metrics: Metrics, wanted: Callable[[], Wanted]
    ) -> None:
        self._bus = bus
        published, (lineage, _) = published_model(bus, PUBLIC), wanted()
        is_new = published is None or published[0].lineage != lineage_name(lineage)
        if published is None or is_new:
            published = made(lineage, 1), Learned(0, {})
        desk = TaskDesk(task, PRIVATE, published_task(bus, PUBLIC))
        self.service = TrainingService(bus, clock, metrics, Versions(*published, metrics, wanted), desk)
        if is_new:
            self.service.offer_model()
        self.service.offer_task()

    @property
    def task(self) -> Task | None:
        """The newest one that devices may have."""
        return self.service.desk.current

    def kill(self) -> None:
        """The process is gone."""
        self._bus.kill()

    def step(self) -> None:
        """One round."""
        self.service.step()
