"""How far a fleet is with its trainings: the frontier that its status tells."""

from wire.clock import Clock
from wire.status import Frontier


class Trained:
    """Trainings of groups of devices, one at a time; who waits is told when one begins."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._groups = self._waiting = self._began_ms = self._until_ms = 0
        self._runs = False

    def began(self, waiting: int) -> None:
        """A training began, and so many devices wait for the next one."""
        self._runs, self._waiting, self._began_ms = True, waiting, self._clock.wall_ms()

    def nobody(self) -> None:
        """Nobody who is due may train."""
        self._waiting = 0

    def ended(self) -> None:
        """The training is over: where nobody was left out of it, all are trained who were due when it began."""
        self._runs = False
        self._groups += 1
        if not self._waiting:
            self._until_ms = self._began_ms

    @property
    def frontier(self) -> Frontier:
        """Up to which moment everybody is trained who was due and may train."""
        waiting = self._waiting + self._runs
        until_ms = self._until_ms if waiting else self._clock.wall_ms()
        return Frontier("trained", -1, self._groups, self._groups + waiting, until_ms)
