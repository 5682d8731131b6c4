"""A ring: the newest few thousand values of something, in as many bytes as they have."""

from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

_FIRST = 16  # values allotted at first; ours


class Ring:
    """The newest `most` values of a dtype; `most` is `_FIRST` times a power of 2.

    >>> ring = Ring(np.uint8, 16)
    >>> for value in range(18):
    ...     ring.add(value)
    >>> sorted(ring.held.tolist())[:3], len(ring.held)
    ([2, 3, 4], 16)
    """

    __slots__ = ("_added", "_most", "_values")

    def __init__(self, dtype: DTypeLike, most: int) -> None:
        self._values: NDArray[Any] = np.zeros(_FIRST, dtype)
        self._most, self._added = most, 0

    @property
    def held(self) -> NDArray[Any]:
        """The values, in no order; not a copy."""
        return self._values[: self._added]

    def add(self, value: Any) -> None:
        """Remember a value; the oldest is forgotten when there are too many."""
        if self._added == len(self._values) < self._most:
            self._double()
        self._values[self._added % len(self._values)] = value
        self._added += 1

    def state(self) -> bytes:
        """The values at rest, oldest first."""
        oldest = self._added % len(self._values) if self._added > len(self._values) else 0
        return np.roll(self.held, -oldest).tobytes()

    @classmethod
    def restore(cls, dtype: DTypeLike, most: int, state: bytes) -> Self:
        """The ring that was at rest in `state`."""
        ring, values = cls(dtype, most), np.frombuffer(state, dtype)
        while len(ring._values) < len(values):
            ring._double()
        ring._values[: len(values)], ring._added = values, len(values)
        return ring

    def _double(self) -> None:
        self._values = np.concatenate([self._values, np.zeros_like(self._values)])
