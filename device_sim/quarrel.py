"""Two fleets of one name that can't hear each other's claims: noticed by how often devices lose their connections.

Where a broker hides the claims (`device_sim.name`) from those that may connect, each fleet's devices take the other's
connections, for ever, and not every broker says why a connection ended. A network that breaks while devices connect
ends hundreds of new connections too, but of each device once: what a device loses first says nothing (sans-I/O).
"""

from collections import Counter

WINDOW_S = 60.0
TIMES = 3  # per device and window: one taken connection may be a half-open one of a fleet that was killed
STANDING_TIMES = 9  # for a fleet that was there for a window already: the one that came later is the one to end
SHARE, MOST = 0.2, 50  # of the devices: a stranger with one device's id is no fleet; thousands reconnect slowly


class Quarrel:
    """Counts connections that another client took, or that ended at once, while the fleet's own one stood.

    >>> quarrel = Quarrel(started_s=90.0)
    >>> [quarrel.lost("ann", now_s=second, devices=1) for second in (100.0, 101.0, 102.0)]
    [False, False, True]
    """

    def __init__(self, started_s: float) -> None:
        self._started_s = started_s
        self._began_s = float("-inf")
        self._lost: Counter[str] = Counter()

    def over(self) -> None:
        """What was counted means nothing: the broker itself went away."""
        self._began_s = float("-inf")

    def lost(self, user_id: str, now_s: float, devices: int) -> bool:
        """One of so many `devices` lost its connection; whether that makes a quarrel."""
        if now_s > self._began_s + WINDOW_S:
            self._began_s = now_s
            self._lost.clear()
        times = TIMES if self._began_s < self._started_s + WINDOW_S else STANDING_TIMES
        self._lost[user_id] += 1
        again = sum(min(lost, times) - 1 for lost in self._lost.values())
        return again >= (times - 1) * max(1, min(SHARE * devices, MOST))
