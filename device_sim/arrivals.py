"""What becomes of a batch or a task that comes to a device, by what it has; nothing is changed by asking."""

from functools import lru_cache
from typing import TYPE_CHECKING

from xxhash import xxh32_intdigest

from device_sim.outcome import Tasks
from wire.batch import PackedBatch
from wire.candidates import CandidateBatch
from wire.outcome import Batches
from wire.task import Task

if TYPE_CHECKING:
    from device_sim.device import Device

CODE_VERSION = "1"  # the training code that devices run; a task of another one is refused

# Batches that are kept unpacked: at 50 a second these are the newest of a second, and most are trained on within half
# of one. Full ones have 3,200 rows of some 17 B: 3.5 MB together.
NEWEST = 64


@lru_cache(NEWEST)
def unpacked(batch: PackedBatch) -> CandidateBatch:
    """The batch to read; who asks again soon gets the same one. Raises `Malformed` when it can't be trained on."""
    return batch.unpacked()


def judge_batch(device: "Device", batch: PackedBatch) -> Batches:
    """What becomes of a batch that could be read."""
    if batch.user_id != device.user_id:
        return Batches.MALFORMED
    if batch.batch_seq < device.newest_seq:
        return Batches.STALE
    if batch.model not in (device.model, device.newest_model):
        return Batches.WRONG_MODEL
    if device.aside.stands:
        return Batches.ASIDE
    here = device.batch is not None and (batch.batch_seq, batch.model) == (device.newest_seq, device.model)
    return Batches.REPEATED if here else Batches.ACCEPTED


def judge_task(device: "Device", task: Task) -> Tasks:
    """What becomes of a task that is signed."""
    if device.task is not None and task.task_version <= device.task.task_version:
        return Tasks.REPEATED
    if task.code_version != CODE_VERSION:
        return Tasks.REFUSED_CODE_VERSION
    if device.version and not concerns(device, task):
        return Tasks.OTHER_LINEAGE
    return Tasks.ADOPTED if rolled_out(device.user_id, task) else Tasks.NOT_ROLLED_OUT


def concerns(device: "Device", task: Task) -> bool:
    """Whether the task is about the line of cloud models that the device uses."""
    return task.lineage in ("", device.model.lineage)


def rolled_out(user_id: str, task: Task) -> bool:
    """Whether a user's device is among the `rollout_percent`; who is, differs from task version to task version."""
    return xxh32_intdigest(user_id.encode(), seed=task.task_version) % 10_000 < task.rollout_percent * 100
