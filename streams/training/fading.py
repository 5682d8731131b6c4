"""Sums of what a fleet says that fade, so that they are of the newest."""

import math

import numpy as np

from wire.arrays import F64
from wire.moments import WallMs

# What was said counts half as much after a day, but no less than 1 / e after so many events: of fewer, chance would say
# which head is best, and what a training is worth.
HALF_LIFE_MS, LEAST_EVENTS = 86_400_000, 3000
# Events, or nats: what tells of more counts as so many. Who was away tells of weeks at once, and who lies of anything.
AT_ONCE = 200


class Fading:
    """Sums (`width`,).

    >>> lately = Fading(2)
    >>> lately.add(np.array([100.0, 5.0]), 100, WallMs(0)), lately.sums.tolist()
    (None, [100.0, 5.0])
    """

    def __init__(self, width: int) -> None:
        self.sums: F64 = np.zeros(width)
        self._heard_ms: WallMs | None = None
        self._by_time = self._by_events = self._faded = 0.0  # so many times by e, since the first that was said

    def add(self, news: F64, passed: float, now_ms: WallMs) -> None:
        """Add what was said by now, while so many events passed; clocks and counts that go back fade nothing."""
        before_ms = now_ms if self._heard_ms is None else self._heard_ms
        self._heard_ms = max(before_ms, now_ms)
        self._by_time += math.log(2) * (self._heard_ms - before_ms) / HALF_LIFE_MS
        self._by_events += min(max(passed, 0.0), AT_ONCE) / LEAST_EVENTS
        before, self._faded = self._faded, min(self._by_time, self._by_events)
        self.sums *= math.exp(before - self._faded)
        self.sums += news * min(1.0, AT_ONCE / max(float(np.abs(news).max()), 1.0))
