"""A device's clock against the cloud's: how old is what the cloud stamped, when the device's clock is wrong.

A phone's clock may be minutes off, be set, or stand still. What comes down says when the cloud made it; how long it
took is not known, but it took some time, so the smallest differences between arrival and stamp tell how far the clocks
are apart. The second smallest of the newest few is taken: no one message decides. Before there are `LEAST` of them,
what comes counts as made when it came.
"""

from collections import deque
from collections.abc import Iterable

from wire.moments import WallMs

REMEMBERED = 8  # differences: with a batch every ten minutes, an hour and more
LEAST = 3
# The newest few that agree so well with each other, and no longer with the rest, say that a clock was set.
APART_MS = 60_000


class CloudClock:
    """Reads a clock that may be set as one that never goes back, and tells the age of the cloud's stamps by it."""

    __slots__ = ("_differences", "_now_ms", "_set_back_ms")

    def __init__(self, differences: Iterable[int] = ()) -> None:
        self._differences = deque(differences, maxlen=REMEMBERED)
        self._now_ms: WallMs | None = None
        self._set_back_ms = 0  # by how much the clock was, in all

    def steady_ms(self, wall_ms: WallMs) -> WallMs:
        """What the clock would show if nobody had set it back.

        >>> clock = CloudClock()
        >>> [clock.steady_ms(WallMs(ms)) for ms in (100, 105, 5, 7)]
        [100, 105, 105, 107]
        """
        if self._now_ms is not None and wall_ms + self._set_back_ms < self._now_ms:
            self._set_back_ms = self._now_ms - wall_ms
        self._now_ms = WallMs(wall_ms + self._set_back_ms)
        return self._now_ms

    def wall_ms(self, steady_ms: float) -> float:
        """What the clock shows when it is `steady_ms` by `steady_ms`."""
        return steady_ms - self._set_back_ms

    def heard(self, stamp_ms: WallMs, now_ms: WallMs) -> int:
        """How old something is, ms, that the cloud stamped and that came now, by `steady_ms`."""
        self._differences.append(now_ms - stamp_ms)
        if len(self._differences) < LEAST:
            return 0
        newest = list(self._differences)[-LEAST:]
        if max(newest) - min(newest) < APART_MS < min(newest) - self._apart_ms():
            self._differences = deque(newest, maxlen=REMEMBERED)  # set ahead: what was heard before says nothing now
        return max(0, now_ms - stamp_ms - self._apart_ms())

    def state(self) -> list[int]:
        """The clock at rest."""
        return list(self._differences)

    def _apart_ms(self) -> int:
        return sorted(self._differences)[1]
