"""The newest sums of each device's lives, and their total: reports may be lost, repeated or out of order (sans-I/O).

A report holds all that was summed in a life, so the newest one replaces those before it. Of a device the newest `LIVES`
are kept apart; the sums of those before stay in the total, and their late reports are passed over. Beyond `most`
devices the one heard of longest ago is let go with what its open lives said, which comes back with its next report.
"""

from collections import OrderedDict

import numpy as np

from monitor.metrics import Metrics
from monitor.seldom import Seldom
from wire.arrays import F64

LIVES = 2  # a device's life ends when its state is lost, or the device; then reports of the old one may be on their way
MOST_DEVICES = 200_000  # 165 MB


class Newest:
    """Sums (`width`,) by device, life and number; `total` is the sum of what is newest of every life."""

    def __init__(self, width: int, metrics: Metrics, most: int = MOST_DEVICES) -> None:
        self.total: F64 = np.zeros(width)
        self._metrics, self._most = metrics, most
        self._devices: OrderedDict[str, _Device] = OrderedDict()
        self._say = Seldom()

    def __len__(self) -> int:
        return len(self._devices)

    def put(self, device: str, boot: int, sequence: int, sums: F64) -> F64 | None:
        """Take report number `sequence` of the life `boot`; returns by how much its sums are more than those there
        were, None where one as new was there.

        >>> newest = Newest(1, Metrics())
        >>> newest.put("ann", 0, 2, np.array([5.0])), newest.put("ann", 0, 1, np.array([3.0])), newest.total.tolist()
        (array([5.]), None, [5.0])
        """
        known = self._devices.setdefault(device, _Device())
        self._devices.move_to_end(device)
        before, sums_before = known.lives.get(boot, (-1, np.zeros(len(sums))))
        if boot <= known.ended or sequence <= before:
            return None
        news = sums - sums_before
        self.total += news
        known.lives[boot] = sequence, sums
        if len(known.lives) > LIVES:
            known.ended = min(known.lives)
            del known.lives[known.ended]
        if len(self._devices) > self._most:
            _, gone = self._devices.popitem(last=False)
            for _, sums_gone in gone.lives.values():
                self.total -= sums_gone
            self._metrics.reporters_forgotten.inc()
            self._say.warning(f"more than {self._most} devices report: those heard of last make the next task")
        return news


class _Device:
    __slots__ = ("ended", "lives")

    def __init__(self) -> None:
        self.ended = -1  # lives up to here are in the total for good
        self.lives: dict[int, tuple[int, F64]] = {}
