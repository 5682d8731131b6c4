"""Rows of something, kept as columns: equally long arrays, one entry of each per row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from wire.arrays import I64, Bool


@dataclass(frozen=True, slots=True)
class Columns:
    """What every such table can do; its fields, all arrays, are its columns.

    >>> @dataclass(frozen=True, slots=True)
    ... class Points(Columns):
    ...     x: I64
    ...     y: I64
    >>> points = Points(np.arange(3), np.arange(3) ** 2)
    >>> Points.concat([points, points.take(np.array([2]))]).y.tolist()
    [0, 1, 4, 4]
    """

    __match_args__: ClassVar[tuple[str, ...]]  # the names of its fields; `dataclasses.fields` looks for them anew

    def __len__(self) -> int:
        column: Any = getattr(self, self.__match_args__[0])
        return len(column)

    def take(self, rows: Bool | I64 | slice) -> Self:
        """Some of the rows, in that order."""
        return type(self)(*(getattr(self, name)[rows] for name in self.__match_args__))

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """All rows of `parts` (at least one), in order."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__match_args__))
