"""Virtual time: what happens when, in one order that depends on nothing but what was asked for."""

import heapq
from collections.abc import Callable
from datetime import UTC, datetime

from wire.moments import SteadyMs, WallMs

START_MS = 1_700_000_000_000  # Unix ms at the beginning of every simulation


class Timeline:
    """Things to do, by the ms since the beginning when they are due; those of one moment in the order they were asked.

    >>> timeline, said = Timeline(), []
    >>> timeline.after(20, lambda: said.append("b"))
    >>> timeline.after(10, lambda: said.append("a"))
    >>> timeline.run(until_ms=15)
    >>> said, timeline.now_ms
    (['a'], 15)
    """

    def __init__(self) -> None:
        self.now_ms = 0
        self._number = 0
        self._due: list[tuple[int, int, Callable[[], object]]] = []

    def after(self, delay_ms: int, action: Callable[[], object]) -> None:
        """Do it so much later; 0 is after all else that is due now."""
        self._number += 1
        heapq.heappush(self._due, (self.now_ms + max(0, delay_ms), self._number, action))

    def run(self, until_ms: int) -> None:
        """Let time pass until then."""
        while self._due and self._due[0][0] <= until_ms:
            self.now_ms, _, action = heapq.heappop(self._due)
            action()
        self.now_ms = until_ms


class VirtualClock:
    """A process's clock: the wall clock is off by `skew_ms`, which may be set anew; the steady one begins with it."""

    def __init__(self, timeline: Timeline, skew_ms: int = 0) -> None:
        self.skew_ms = skew_ms
        self._timeline, self._began_ms = timeline, timeline.now_ms

    def wall_ms(self) -> WallMs:
        """Unix ms."""
        return WallMs(START_MS + self._timeline.now_ms + self.skew_ms)

    def steady_ms(self) -> SteadyMs:
        """Ms since the process began."""
        return SteadyMs(self._timeline.now_ms - self._began_ms)

    def now(self) -> datetime:
        """The wall clock as Bytewax reads it."""
        return datetime.fromtimestamp(self.wall_ms() / 1000, UTC)
