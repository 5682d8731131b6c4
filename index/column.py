"""An array that grows at its end, and of which parts are replaced in the time that these take, wherever they are.

What is replaced lies mostly near either end, where a window's rows come and leave: only the shorter side of it moves.
All moves once the room at the end is used up, which is an eighth of what is there.
"""

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
        before, after = self.values[:start], self.values[stop:]
        grows = len(values) - (stop - start)
        if len(before) < len(after) and grows <= self._first:
            self._first -= grows
            self.values[:start] = before
        elif self._end + grows <= len(self._array):
            self._end += grows
            self.values[start + len(values) :] = after
        else:
            self._make_room(len(before) + len(values) + len(after))
            self.values[:start], self.values[start + len(values) :] = before, after
        self.values[start : start + len(values)] = values

    def _make_room(self, n: int) -> None:
        self._array = np.empty((n + n // ROOM + LEAST_ROOM, *self._array.shape[1:]), self._array.dtype)
        self._first, self._end = 0, n
