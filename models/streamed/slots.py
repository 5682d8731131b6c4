"""Slots: which row of a table a key has, of a table that never grows."""

from collections.abc import Iterable

import numpy as np

from models.streamed.rest import Rest
from wire.arrays import I64

EMPTY = -1  # what no key has: the last row of a table of `capacity + 1` rows, in which nothing is ever put
_GO = 4  # one in so many goes at once, as to find them the whole table is looked at


class Slots:
    """Up to `capacity` keys; who was not placed for longest goes when there is no room.

    >>> slots = Slots(4)
    >>> slots.place([7, 8, 7], np.array([1, 2, 3]))[0].tolist(), slots.of([8, 9]).tolist()
    ([0, 1, 0], [1, -1])
    """

    def __init__(self, capacity: int) -> None:
        self._slot: dict[int, int] = {}
        self._free = list(range(capacity))[::-1]
        self._touched: I64 = np.full(capacity, np.iinfo(np.int64).min)

    def __len__(self) -> int:
        return len(self._slot)

    def of(self, keys: Iterable[int]) -> I64:
        """The row of each key, `EMPTY` of those that have none."""
        slot = self._slot
        return np.array([slot.get(key, EMPTY) for key in keys], np.int64)

    def place(self, keys: list[int], timestamp: I64) -> tuple[I64, I64]:
        """The row of each key, new ones too, and the rows that others had before, which are to be cleared.

        There are `capacity` distinct keys at most.
        """
        new = [key for key in dict.fromkeys(keys) if key not in self._slot]
        if len(new) > len(self._free):
            # Those in use now were touched last.
            self._touched[[slot for key in set(keys) if (slot := self._slot.get(key)) is not None]] = timestamp[-1]
            self._make_room(len(new), staying=set(keys))
        taken = [self._free.pop() for _ in new]
        self._slot.update(zip(new, taken, strict=True))
        rows = self.of(keys)
        np.maximum.at(self._touched, rows, timestamp)
        return rows, np.array(taken, np.int64)

    def state(self) -> Rest:
        """The table at rest: keys and their rows, free rows, when each was placed last."""
        keys, rows = np.array([*self._slot], np.uint64), np.array([*self._slot.values()], np.int64)
        return keys, rows, np.array(self._free, np.int64), self._touched

    def restore(self, state: Rest) -> None:
        """Become the table that was at rest in `state`."""
        keys, rows, free, self._touched[:] = state
        self._slot = dict(zip(keys.tolist(), rows.tolist(), strict=True))
        self._free = free.tolist()

    def _make_room(self, needed: int, staying: set[int]) -> None:
        """Let the keys go that were touched longest ago, but for those that are placed now: they have to have rows."""
        going = max(needed - len(self._free), len(self._touched) // _GO)
        others = [key for key in self._slot if key not in staying]
        for key in sorted(others, key=lambda key: self._touched[self._slot[key]])[:going]:
            slot = self._slot.pop(key)
            self._touched[slot] = np.iinfo(np.int64).min
            self._free.append(slot)
