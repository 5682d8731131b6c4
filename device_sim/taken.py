"""What the device's user has taken, and when: longer remembered than the window, as habits last longer.

Where people come once a month, a window of 90 days has forgotten most of what they will buy again.
"""

from typing import Self

import numpy as np

from device_sim.ring import Ring

MOST = 4096  # positives, in 48 kB; at three a day they last four years; ours
_ROW = np.dtype([("item", "<u4"), ("timestamp", "<i8")])


class Taken:
    """The newest `MOST` positives, in arrival order."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows = Ring(_ROW, MOST)

    def before(self, item: int, timestamp: int) -> tuple[int, int]:
        """How many positives of the item are from strictly before `timestamp`, and how long ago the newest of them was
        (ms; 0 where there is none): rows of one basket never see each other.

        >>> taken = Taken()
        >>> taken.add(7, 1000)
        >>> taken.before(7, 1000), taken.before(7, 1500), taken.before(8, 1500)
        ((0, 0), (1, 500), (0, 0))
        """
        rows = self._rows.held
        times = rows["timestamp"][rows["item"] == item]
        earlier = times[times < timestamp]
        return (len(earlier), timestamp - int(earlier.max())) if len(earlier) else (0, 0)

    def add(self, item: int, timestamp: int) -> None:
        """Remember one positive."""
        self._rows.add((item, timestamp))

    @property
    def nbytes(self) -> int:
        """Bytes that the remembered positives occupy."""
        return self._rows.held.nbytes

    def state(self) -> bytes:
        """The positives at rest."""
        return self._rows.state()

    @classmethod
    def restore(cls, state: bytes) -> Self:
        """The positives that were at rest in `state`."""
        taken = cls()
        taken._rows = Ring.restore(_ROW, MOST, state)
        return taken
