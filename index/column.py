"""An array that grows at its end, and of which parts are replaced in the time that these take, wherever they are.

What is replaced lies mostly near either end, where a window's rows come and leave: only the shorter side of it moves.
Once the room at the end is used up, all moves to the front, and an eighth of what is there is added as room. Nothing
that moves is copied to elsewhere first, and the array is grown where it lies: the kernel moves its pages, where a copy
would have to make them anew, several times as long.
"""

from math import prod
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)

ROOM = 8  # as much room is made at the end, in parts of what is there, and so much besides
LEAST_ROOM = 1024


class Column(Generic[T]):
    """Values of type `kind`, each of shape `shape`; none at first."""

    def __init__(self, kind: type[T], shape: tuple[int, ...] = ()) -> None:
        self._array: NDArray[T] = np.empty((0, *shape), kind)
        self._each = prod(shape)  # numbers
        self._first = self._end = 0

    @property
    def values(self) -> NDArray[T]:
        """All of them, until the next `splice`."""
        return self._array[self._first : self._end]

    @property
    def nbytes(self) -> int:
        """Bytes of the array and of its room."""
        return self._array.nbytes

    def splice(self, start: int, stop: int, values: NDArray[T]) -> None:
        """Put `values` in the place of those from `start` up to `stop`."""
        n, grows = self._end - self._first, len(values) - (stop - start)
        if start < n - stop and grows <= self._first:
            self._move(self._first, self._first + start, -grows)
            self._first -= grows
        else:
            self._make_room(n + grows)
            self._move(self._first + stop, self._end, grows)
            self._end += grows
        self.values[start : start + len(values)] = values

    def _make_room(self, n: int) -> None:
        """Let there be room for n, those that are there included."""
        if self._first + n <= len(self._array):
            return
        if self._first:
            self._move(self._first, self._end, -self._first)
            self._first, self._end = 0, self._end - self._first
        size = n + n // ROOM + LEAST_ROOM
        if not size <= len(self._array) <= 2 * size:
            self._array.resize((size, *self._array.shape[1:]), refcheck=False)  # old `values` are not used any more

    def _move(self, start: int, stop: int, by: int) -> None:
        """Move what is at `start` … `stop` - 1 of the array, as one row of numbers: else numpy copies it first, because
        it overlaps with where it goes."""
        row, each = self._array.reshape(-1), self._each
        row[(start + by) * each : (stop + by) * each] = row[start * each : stop * each]
