"""A process of a simulation: it takes turns, and may stand still, be slow, die and come back."""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from streams.simulation.dice import Die
from streams.simulation.journal import Journal
from streams.simulation.timeline import Timeline, VirtualClock
from wire.errors import CodaError

RESTART_MS = 1_500  # how long whoever watches over processes waits before it starts one again


class Work(Protocol):
    """What a process does while it lives."""

    def step(self) -> None:
        """Do what there is to do now; raises `CodaError` when it can't go on."""

    def kill(self) -> None:
        """Let go of the outside world without a word, as the death of a process does."""


W = TypeVar("W", bound=Work)


class Process(Generic[W]):
    """`begin` makes its work anew each time it starts, by the process's own clock.

    What the world is to blame for ends it, and it is started again; a mistake of ours comes out of `Timeline.run`.
    """

    def __init__(
        self,
        name: str,
        begin: Callable[[VirtualClock], W],
        timeline: Timeline,
        die: Die,
        journal: Journal,
        *,
        pace_ms: int,
    ) -> None:
        self.name = name
        self.work: W | None = None
        self.paused = False
        self.pace_ms = pace_ms
        self.clock = VirtualClock(timeline)
        self._skew_ms = 0
        self._begin, self._timeline, self._die, self._journal = begin, timeline, die, journal
        self._wanted = True  # whether it is to be started again
        timeline.after(die.between(1, self.pace_ms), self._turn)

    def jump(self, by_ms: int) -> None:
        """Set its clock, now and for those that come after it."""
        self._skew_ms += by_ms
        self.clock.skew_ms = self._skew_ms

    def kill(self, away_ms: int) -> None:
        """Dies now, and is started again after so long."""
        self._end("killed")
        self._wanted = False
        self._timeline.after(away_ms, self.want)

    def want(self) -> None:
        """May be started again."""
        self._wanted = True

    def _end(self, why: str) -> None:
        self._journal.note(self._timeline.now_ms, self.name, why)
        if self.work is not None:
            self.work.kill()
            self.work = None

    def _turn(self) -> None:
        pause_ms = self._die.between(self.pace_ms // 2, self.pace_ms * 3 // 2)
        try:
            if not self.paused and self._wanted:
                self._go_on()
        except CodaError as error:
            self._end(f"ended: {error}")
            pause_ms += RESTART_MS
        self._timeline.after(pause_ms, self._turn)

    def _go_on(self) -> None:
        if self.work is None:
            self.clock = VirtualClock(self._timeline, self._skew_ms)
            self.work = self._begin(self.clock)
        self.work.step()
