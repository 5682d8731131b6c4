"""A clock that tests move by hand."""

from wire.moments import SteadyMs, WallMs


class HandClock:
    """Stands until `passes`."""

    def __init__(self, wall_ms: int = 0, steady_ms: int = 7) -> None:
        self.wall, self.steady = wall_ms, steady_ms

    def wall_ms(self) -> WallMs:
        return WallMs(self.wall)

    def steady_ms(self) -> SteadyMs:
        return SteadyMs(self.steady)

    def passes(self, ms: int, step_ms: int = 0) -> None:
        """Time passes, and somebody sets the wall clock by `step_ms`."""
        self.steady += ms
        self.wall += ms + step_ms
