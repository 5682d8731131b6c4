"""A device, and a short way to talk to it, for tests."""

from typing import Any, TypeVar

import numpy as np

from device_sim.device import Device
from device_sim.instruction import Count, Instruction, Publish, Train
from device_sim.stimulus import (
    BatchArrived,
    Connected,
    ModelArrived,
    OwnEvent,
    Predicted,
    Stimulus,
    TaskArrived,
    Trained,
    TrainingSlot,
)
from models.blend import HEADS
from models.evidence import EVIDENCE
from tests.device_sim.world import TASK, event, raw_batch
from wire.identity import ModelId
from wire.moments import WallMs
from wire.task import ARMS, Task
from wire.telemetry import Upward, decode_report

T = TypeVar("T", bound=Instruction)
NO_ROWS: dict[str, Any] = {"seqs": np.zeros(0, np.int64), "logits": np.zeros(0, np.float32)}


class Phone:
    """A device, and a short way to talk to it."""

    def __init__(self, *, uploads: bool = False, task: Task | None = TASK, version: int = 1) -> None:
        self.device = Device("ann", uploads=uploads)
        self.now_ms = 100_000
        self.asked = 0
        if version:
            self.tell(ModelArrived(ModelId("", version), 0, 1000))
        if task is not None:
            self.tell(TaskArrived(task, 100))

    def tell(self, stimulus: Stimulus) -> list[Instruction]:
        return self.device.handle(stimulus, WallMs(self.now_ms))

    def live(self, count: int, gain: float = 0.0) -> list[Instruction]:
        """The user does something `count` times, and each is predicted; by turns it is taken and heads lean towards it,
        and not, so that they gain `gain` on average."""
        out: list[Instruction] = []
        for n in range(self.asked, self.asked + count):
            out += self.tell(OwnEvent(event("ann", n), self.now_ms))
            sign = 1 - 2 * (n % 2)
            leans = np.full(len(ARMS), 0.5 * sign), np.full(len(ARMS), 2 * gain * sign)
            says = np.full(len(HEADS), 0.5), np.full(EVIDENCE, 0.25), *leans
            out += self.tell(Predicted(n, self.device.model, 0.5, *says))
        self.asked += count
        return out

    def train(self, accepted: dict[str, bool] | None = None) -> list[Instruction]:
        """Give it a slot and pretend to train."""
        (train,) = only(Train, self.tell(TrainingSlot()))
        heads = accepted or {"local": True}
        return self.tell(Trained(train.model, heads, compute_ms=1.5, heads_bytes=9000, **NO_ROWS))


def trained_phone() -> Phone:
    """A connected one that has trained on a batch."""
    phone = Phone()
    phone.tell(Connected())
    phone.live(10)
    phone.tell(BatchArrived(raw_batch("ann", 0)))
    phone.train()
    return phone


def only(kind: type[T], instructions: list[Instruction]) -> list[T]:
    return [i for i in instructions if isinstance(i, kind)]


def counted(instructions: list[Instruction]) -> list[tuple[str, str]]:
    return [(c.outcome.what, c.outcome) for c in only(Count, instructions)]


def reports(instructions: list[Instruction]) -> list[Upward]:
    return [decode_report(p.payload) for p in only(Publish, instructions) if p.leaf != "events"]
