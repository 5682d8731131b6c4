"""What of the cloud's newest model and task a device has not got yet."""

from device_sim.device import Device
from device_sim.offer import Offer
from device_sim.stimulus import ModelArrived, TaskArrived
from models.cloud_model import random_model
from wire.ids import item_keys
from wire.moments import WallMs
from wire.succession import Verdict
from wire.task import Task

MODEL = random_model(item_keys(["a"]), item_keys(["b"]), seed=0, version=3)


def test_a_device_is_told_of_the_model_and_then_of_the_task_once() -> None:
    device, offer = Device("ann"), Offer()
    assert list(offer.new_to(device)) == [] and offer.model_key == 0
    offer = Offer(MODEL, 10, Task(task_version=2), 5)
    model, task = offer.new_to(device)
    assert isinstance(model, ModelArrived) and (model.model, model.size) == (MODEL.id, 10)
    assert isinstance(task, TaskArrived) and (task.task.task_version, task.size) == (2, 5)
    device.handle(model, WallMs(0))
    device.handle(task, WallMs(0))
    assert list(offer.new_to(device)) == [] and offer.model_key == MODEL.id.key


def test_only_the_first_model_and_what_follows_the_newest_are_adopted() -> None:
    assert Offer().verdict(MODEL) is Verdict.ADOPTED
    offer = Offer(MODEL, 10)
    assert offer.verdict(MODEL.as_version(4)) is Verdict.ADOPTED
    assert offer.verdict(MODEL.as_version(2)) is not Verdict.ADOPTED
