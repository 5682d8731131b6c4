"""The invariant of personal heads: by their numbers they are what their devices learned from."""

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from device_sim.training import TrainingJob
from models.heads import Heads
from streams.simulation.invariants import Invariant
from wire.arrays import I64

if TYPE_CHECKING:
    from streams.simulation.world import World

NEAR = 1e-3  # between a device that trains alone and in a group: the same sums in another order


class HeadsAsLearned(Invariant):
    """Every head in use is what some training of its device alone makes, whoever trained beside it and crashed since.

    Which training that was depends on when batches came, so devices of two runs differ; what each makes of the same
    samples does not. Looked at where the plan is compared with its undisturbed twin, since it costs trainings.
    """

    name = "heads-as-learned"

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self._jobs: defaultdict[str, list[TrainingJob]] = defaultdict(list)

    def job(self, job: TrainingJob) -> None:
        """Each device's part of a training."""
        for user, train in zip(job.users, job.trains, strict=True):
            self._jobs[user].append(replace(job, users=(user,), trains=(train,)))

    def end(self) -> None:
        """All heads of all devices."""
        work = self.world.devices
        assert work is not None, "all processes are there"
        for user in work.fleet.devices if self.world.plan.converges else ():
            heads = work.fleet.store.take(work.fleet.slots[user]).heads
            strange = _by_number(heads.head, heads.unpacked())
            for job in reversed(self._jobs[user]):
                made = _made(job) if strange else {}
                strange = {number: head for number, head in strange.items() if not _near(head, made.get(number))}
            self.hold(not strange, f"{len(strange)} heads of {user} are none that it learned")


def _made(job: TrainingJob) -> dict[int, Heads]:
    result = job.run(lambda: 0.0)
    return _by_number(result.head, result.heads)


def _by_number(numbers: I64, heads: Heads) -> dict[int, Heads]:
    return {number: heads.take(np.array([at])) for at, number in enumerate(numbers.tolist())}


def _near(one: Heads, other: Heads | None) -> bool:
    if other is None:
        return False
    between = one.plus(other.scaled(np.full(1, -1.0)))
    return bool(np.abs(np.concatenate([between.taste, between.bias_values], axis=1)).max() < NEAR)
