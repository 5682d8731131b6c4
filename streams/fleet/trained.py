"""How far a fleet is with its trainings, in all and by group of devices: the frontiers that its status tells."""

from collections import Counter
from collections.abc import Iterable

from device_sim.device import Device
from device_sim.lately import DEVICES, group_of
from wire.clock import Clock
from wire.status import Frontier

STAGE = "trained"


class Trained:
    """Trainings of some devices, many at once; who waits is told when a training begins."""

    def __init__(self, clock: Clock, stage: str = STAGE) -> None:
        self._clock, self._stage = clock, stage
        self._done = self._in_training = self._waiting = self._began_ms = self._until_ms = 0

    def began(self, training: int, waiting: int) -> None:
        """So many are in training from now on, and so many wait for the next one."""
        self._in_training, self._waiting, self._began_ms = training, waiting, self._clock.wall_ms()

    def nobody(self) -> None:
        """Nobody who is due may train."""
        self._waiting = 0

    def ended(self) -> None:
        """The training is over: where nobody was left out of it, all are trained who were due when it began."""
        self._done += self._in_training
        self._in_training = 0
        if not self._waiting:
            self._until_ms = self._began_ms

    @property
    def frontier(self) -> Frontier:
        """Up to which moment everybody is trained who was due and may train."""
        left = self._waiting + self._in_training
        until_ms = self._until_ms if left else self._clock.wall_ms()
        return Frontier(self._stage, -1, self._done, self._done + left, until_ms)


class FleetTrained:
    """The same of all devices, and of each group of them as a stage of its own: `trained/new`, …."""

    def __init__(self, clock: Clock) -> None:
        self._all = Trained(clock)
        self._groups = {group: Trained(clock, f"{STAGE}/{group}") for group in DEVICES}

    def began(self, training: Iterable[Device], waiting: Iterable[Device]) -> None:
        """These are in training from now on, and those wait for the next one."""
        now, later = (Counter(group_of(device.usage.events) for device in which) for which in (training, waiting))
        self._all.began(now.total(), later.total())
        for group, trained in self._groups.items():
            trained.began(now[group], later[group])

    def nobody(self) -> None:
        """Nobody who is due may train."""
        for trained in (self._all, *self._groups.values()):
            trained.nobody()

    def ended(self) -> None:
        """The training is over."""
        for trained in (self._all, *self._groups.values()):
            trained.ended()

    @property
    def frontiers(self) -> list[Frontier]:
        """Of all, then of each group."""
        return [trained.frontier for trained in (self._all, *self._groups.values())]
