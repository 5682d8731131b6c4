"""Sums of what a fleet says that fade, so that they are of the newest."""

import numpy as np

from wire.arrays import F64
from wire.moments import WallMs

# What was said counts half as much after a day. But it stays until others have said as much as `LEAST_EVENTS`: fewer
# would leave to chance which head is best, and what a training is worth.
HALF_LIFE_MS, LEAST_EVENTS = 86_400_000, 3000
# Events, or nats: what tells of more counts as so many. Who was away tells of weeks at once, and who lies of anything.
AT_ONCE = 200


class Fading:
    """Sums (`width`,), of which the first counts events.

    >>> lately = Fading(2)
    >>> lately.add(np.array([100.0, 5.0]), WallMs(0)), lately.sums.tolist()
    (None, [100.0, 5.0])
    """

    def __init__(self, width: int) -> None:
        self.sums: F64 = np.zeros(width)
        self._heard_ms = WallMs(0)

    def add(self, news: F64, now_ms: WallMs) -> None:
        """Add what was said by now; clocks that go back fade nothing."""
        self.sums += news * min(1.0, AT_ONCE / max(float(np.abs(news).max()), 1.0))
        elapsed_ms = max(0, now_ms - self._heard_ms)
        self._heard_ms = WallMs(self._heard_ms + elapsed_ms)
        stays = LEAST_EVENTS / max(float(self.sums[0]), LEAST_EVENTS)
        self.sums *= max(0.5 ** (elapsed_ms / HALF_LIFE_MS), stays)
