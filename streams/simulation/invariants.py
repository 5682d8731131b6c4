"""What must hold in every simulation: each invariant has a name, looks at the world while it runs, and once it is over.

`watch` is called often, from the beginning to the end; `end` once everything has healed and come to rest.
"""

from typing import TYPE_CHECKING, ClassVar

from device_sim.training import TrainingJob

if TYPE_CHECKING:
    from streams.simulation.world import World


class Violation(Exception):
    """An invariant does not hold: its name, and what was found."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name}: {what}")
        self.name, self.what = name, what


class Invariant:
    """One of them, for one world."""

    name: ClassVar[str]

    def __init__(self, world: "World") -> None:
        self.world = world

    def watch(self) -> None:
        """Look at the world as it is now."""

    def job(self, job: TrainingJob) -> None:
        """Devices begin to train."""

    def end(self) -> None:
        """Look at the world at rest."""

    def hold(self, holds: bool, what: str) -> None:
        """Raise `Violation` unless it holds."""
        if not holds:
            raise Violation(self.name, what)
