"""One user's history: the recent positives from which features are made, strictly earlier than the event.

Rows of one basket share a timestamp and never see each other.
"""

from array import array
from bisect import bisect_left, bisect_right

import numpy as np

from wire.arrays import U32
from wire.sample import HISTORY_LEN

KEY_BYTES = 4  # a key is a little-endian uint32, in memory as on the wire


class History:
    """Recent positives in event-time order, at least `HISTORY_LEN` of them from before any late event.

    `KEEP` leaves room for out-of-order events: the features of an event that comes late need the
    positives before *it*. Keys lie newest first in one `bytes` each, so that the features of an event are
    a slice of it: the dataflow takes one per event, and an array per event would cost ten times as much.
    Timestamps lie in an array, which is copied when a user is saved.
    """

    KEEP = 4 * HISTORY_LEN
    __slots__ = ("_categories", "_items", "_timestamps")

    def __init__(self) -> None:
        self._timestamps = array("q")  # oldest first
        self._items = b""
        self._categories = b""

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
        items, categories = self.bytes_before(timestamp)
        return np.frombuffer(items, np.uint32), np.frombuffer(categories, np.uint32)

    def bytes_before(self, timestamp: int) -> tuple[bytes, bytes]:
        """The same as `before`, as little-endian uint32 without padding: how a `SampleRecord` carries it."""
        timestamps = self._timestamps
        if not timestamps or timestamps[-1] < timestamp:  # in order: nearly always
            first = 0
        else:
            first = (len(timestamps) - bisect_left(timestamps, timestamp)) * KEY_BYTES
        rows = slice(first, first + HISTORY_LEN * KEY_BYTES)
        return self._items[rows], self._categories[rows]

    def add(self, timestamp: int, item: int, category: int) -> None:
        """Remember one positive; the oldest leaves when more than `KEEP` are held."""
        timestamps = self._timestamps
        behind = bool(timestamps) and timestamp < timestamps[-1]  # seldom
        at = bisect_right(timestamps, timestamp) if behind else len(timestamps)
        cut = (len(timestamps) - at) * KEY_BYTES
        timestamps.insert(at, timestamp)
        self._items = _insert(self._items, cut, item)
        self._categories = _insert(self._categories, cut, category)
        if len(timestamps) > self.KEEP:
            del timestamps[0]

    def holds(self, item: int, timestamp: int) -> bool:
        """Whether a positive of the item at that time is among those remembered."""
        first, end = bisect_left(self._timestamps, timestamp), bisect_right(self._timestamps, timestamp)
        n = len(self._timestamps)
        return item in np.frombuffer(self._items[(n - end) * KEY_BYTES : (n - first) * KEY_BYTES], np.uint32)

    def state(self) -> tuple[bytes, bytes, bytes]:
        """The history at rest: timestamps as int64 oldest first, item and category keys as they lie here."""
        return self._timestamps.tobytes(), self._items, self._categories

    @classmethod
    def restore(cls, timestamps: bytes, items: bytes, categories: bytes) -> "History":
        """The history that was at rest as `state` gave it."""
        history = cls()
        history._timestamps, history._items, history._categories = array("q", timestamps), items, categories
        return history


def _insert(keys: bytes, cut: int, key: int) -> bytes:
    inserted = keys[:cut] + key.to_bytes(KEY_BYTES, "little") + keys[cut:]
    return inserted[: History.KEEP * KEY_BYTES]
