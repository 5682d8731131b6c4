"""The clock: what time it is, asked of one object that is passed in.

Whoever keeps time takes a `Clock` and asks it; only a live loop waits. So the same code runs by the machine's clock and
by one that a simulator moves: there, no time passes while a function runs.
"""

import time
from datetime import UTC, datetime
from typing import Protocol

from wire.moments import SteadyMs, WallMs

AT_ONCE = datetime.fromtimestamp(0, UTC)  # for Bytewax, which compares with a wall clock that somebody may set back


class Clock(Protocol):
    """Two readings, both whole ms.

    `wall_ms` may jump ahead, step back or stand still between two calls, and two processes read different ones.
    `steady_ms` never goes back, nobody sets it, and it means nothing in another process, or in this one once restarted.
    """

    def wall_ms(self) -> WallMs:
        """What a machine's clock shows, Unix ms."""

    def steady_ms(self) -> SteadyMs:
        """How long it has been since some moment of this process."""


def after(clock: Clock, ms: int) -> datetime:
    """What the wall clock will show in `ms`, as Bytewax wants to be told."""
    return datetime.fromtimestamp((clock.wall_ms() + ms) / 1000, UTC)


class SystemClock:
    """The machine's.

    >>> clock = SystemClock()
    >>> clock.steady_ms() <= clock.steady_ms()
    True
    """

    def wall_ms(self) -> WallMs:
        """Unix ms."""
        return WallMs(time.time_ns() // 1_000_000)

    def steady_ms(self) -> SteadyMs:
        """Ms since the machine came up or so."""
        return SteadyMs(time.monotonic_ns() // 1_000_000)
