"""What the cloud has for every device: its newest model and task."""

from collections.abc import Iterator
from dataclasses import dataclass

from device_sim.device import Device
from device_sim.stimulus import ModelArrived, TaskArrived
from models.cloud_model import CloudModel
from wire.succession import Verdict, judge
from wire.task import Task


@dataclass(slots=True)
class Offer:
    """The newest of each with its bytes on the wire, None before the first."""

    model: CloudModel | None = None
    model_size: int = 0
    task: Task | None = None
    task_size: int = 0

    @property
    def model_key(self) -> int:
        """The key of the newest model; 0 before the first."""
        return self.model.id.key if self.model is not None else 0

    def verdict(self, model: CloudModel) -> Verdict:
        """Whether `model` may take the place of the newest one."""
        return Verdict.ADOPTED if self.model is None else judge(self.model.id, model.id, model.replaces)

    def new_to(self, device: Device) -> Iterator[ModelArrived | TaskArrived]:
        """What the device has not got yet, one after the other: the model may change what its task is worth."""
        if self.model is not None and device.newest_model != self.model.id:
            yield ModelArrived(self.model.id, self.model.trained_until, self.model_size, self.model.replaces)
        if self.task is not None and device.task != self.task:
            yield TaskArrived(self.task, self.task_size)
