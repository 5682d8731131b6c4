"""Devices that come back all at once: told by how many say so, and given a pace for the next time (sans-I/O).

No device knows how many there are; the cloud does. It spreads as many as it has seen, at a rate that a broker carries.
"""

from collections import deque

from wire.pace import MOST_S, Pace

CALM_PER_S = 200.0  # what devices that come back are spread to
WINDOW_S = 3.0
STORM = int(1.5 * CALM_PER_S * WINDOW_S)  # so many within the window are more than a fleet that keeps its own rate
LASTS_S = 600.0
AGAIN_S = 60.0  # between two paces: one that is published with every message would be a storm itself
MOST_SEEN = int(MOST_S * CALM_PER_S)  # more devices would not be spread further


class Storm:
    """Counts devices that came online."""

    def __init__(self) -> None:
        self._came_s: deque[float] = deque(maxlen=STORM)
        self._seen: set[str] = set()
        self._again_s = float("-inf")

    def came(self, device: str, now_s: float) -> Pace | None:
        """This device came online; the pace to publish, if that makes a storm."""
        if len(self._seen) < MOST_SEEN:
            self._seen.add(device)
        self._came_s.append(now_s)
        if len(self._came_s) < STORM or now_s - self._came_s[0] > WINDOW_S or now_s < self._again_s:
            return None
        self._again_s = now_s + AGAIN_S
        return Pace(wait_s=0.0, spread_s=len(self._seen) / CALM_PER_S, lasts_s=LASTS_S)
