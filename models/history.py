"""One user's history: the recent positives from which features are made, strictly earlier than the event.

The cloud dataflow keeps one per user and every device keeps its own; both call the same code, so a
sample has the same features on either side. Rows of one basket share a timestamp and never see each other.
"""

from bisect import bisect_left, bisect_right

import numpy as np

from models.arrays import U32
from models.sample import HISTORY_LEN


class History:
    """Recent positives in event-time order, at least `HISTORY_LEN` of them from before any late event.

    `KEEP` leaves room for out-of-order events: the features of an event that comes late need the
    positives before *it*.
    """

    KEEP = 4 * HISTORY_LEN
    __slots__ = ("_categories", "_items", "_timestamps")

    def __init__(self) -> None:
        self._timestamps: list[int] = []
        self._items: list[int] = []
        self._categories: list[int] = []

    def __len__(self) -> int:
        return len(self._timestamps)

    def before(self, timestamp: int) -> tuple[U32, U32]:
        """Item and category keys of the newest `HISTORY_LEN` positives strictly before `timestamp`, newest first.

        >>> history = History()
        >>> history.add(10, item=1, category=7)
        >>> history.add(20, item=2, category=7)
        >>> history.before(20)[0].tolist(), history.before(21)[0].tolist()
        ([1], [2, 1])
        """
        end = bisect_left(self._timestamps, timestamp)
        rows = slice(max(0, end - HISTORY_LEN), end)
        return np.array(self._items[rows][::-1], np.uint32), np.array(self._categories[rows][::-1], np.uint32)

    def add(self, timestamp: int, item: int, category: int) -> None:
        """Remember one positive; the oldest leaves when more than `KEEP` are held."""
        at = bisect_right(self._timestamps, timestamp)
        self._timestamps.insert(at, timestamp)
        self._items.insert(at, item)
        self._categories.insert(at, category)
        if len(self._timestamps) > self.KEEP:
            del self._timestamps[0], self._items[0], self._categories[0]
