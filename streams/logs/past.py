"""What had been taken before each moment of a log of positives: what a drawn negative must not be told by."""

import numpy as np
import polars as pl

from wire.arrays import I64, Bool

RECENT = 2000  # positives: how often an item is among so many says how popular it is now


class Past:
    """A log of positives, sorted by `timestamp`, in columns; rows and items are numbers, shapes (n,) as given."""

    def __init__(self, log: pl.DataFrame) -> None:
        self.rows = log.height
        self.time: I64 = log["timestamp"].to_numpy().astype(np.int64)
        self.item: I64 = _numbered(log.select("item_id"))
        self._basket: I64 = _numbered(log.select(pl.struct("user_id", "timestamp")))
        self._items = int(self.item.max(initial=-1)) + 1
        self._pairs = np.unique(self._basket * self._items + self.item)
        self.moment: I64 = np.searchsorted(self.time, self.time, "left")  # the first row of the same moment
        self.following: I64 = np.searchsorted(self.time, self.time, "right")  # the first row of a later one
        self._first_ms: I64 = self.time[np.unique(self.item, return_index=True)[1]]
        self._places = np.sort(self.item * self.rows + np.arange(self.rows))

    def known(self, item: I64, row: I64) -> Bool:
        """Whether anybody had taken `item` before the moment of `row`."""
        known: Bool = self._first_ms[item] < self.time[row]
        return known

    def age_ms(self, item: I64, row: I64) -> I64:
        """How long before the moment of `row` the item was first taken; 0 where it was not yet."""
        age_ms: I64 = np.maximum(self.time[row] - self._first_ms[item], 0)
        return age_ms

    def recent(self, item: I64, row: I64) -> I64:
        """How many of the `RECENT` positives before the moment of `row` are of `item`."""
        end = self.moment[row]
        start = np.maximum(end - RECENT, 0)
        of_item = item * self.rows
        upto, before = (np.searchsorted(self._places, of_item + place) for place in (end, start))
        count: I64 = upto - before
        return count

    def in_basket(self, item: I64, row: I64) -> Bool:
        """Whether the user of `row` took `item` at that very moment."""
        pair = self._basket[row] * self._items + item
        at = np.minimum(np.searchsorted(self._pairs, pair), len(self._pairs) - 1)
        held: Bool = self._pairs[at] == pair
        return held


def _numbered(column: pl.DataFrame) -> I64:
    numbers: I64 = column.to_series().rank("dense").to_numpy().astype(np.int64) - 1
    return numbers
