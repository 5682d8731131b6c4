"""Training rows of many (device, head) pairs, stacked and padded to one shape."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from models.arrays import F32, I64, U32

MULTIPLE = 8  # row counts are padded to this, so that pairs of different size share a shape


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """n rows for each of G (device, head) pairs; a pair's rows come first, then its padding with weight 0.

    `features` is what the head sees (`CloudModel.features`), `outside` is 1 for other users' samples.
    """

    features: F32  # (G, n, 3d)
    label: F32  # (G, n), 0 or 1
    weight: F32  # (G, n); 0 = padding
    outside: F32  # (G, n), 0 or 1
    item: U32  # (G, n)
    category: U32  # (G, n)

    def __len__(self) -> int:
        return len(self.label)

    @property
    def counts(self) -> I64:
        """Rows of each pair up to its last one of positive weight, shape (G,)."""
        used = self.weight > 0
        return np.where(used.any(axis=1), used.shape[1] - used[:, ::-1].argmax(axis=1), 0).astype(np.int64)

    @classmethod
    def from_flat(
        cls, pair: I64, pairs: int, *, features: F32, label: F32, weight: F32, outside: F32, item: U32, category: U32
    ) -> Self:
        """Rows given one after the other, row r belonging to pair `pair[r]` < `pairs`; each pair keeps their order.

        >>> one = np.ones(3, np.float32)
        >>> rows = TrainingRows.from_flat(np.array([1, 0, 1]), 2, features=np.ones((3, 96), np.float32), label=one,
        ...                               weight=one, outside=one, item=np.array([7, 8, 9], np.uint32),
        ...                               category=np.array([1, 1, 1], np.uint32))
        >>> rows.item[:, :2].tolist(), rows.counts.tolist()
        ([[8, 0], [7, 9]], [1, 2])
        """
        counts = np.bincount(pair, minlength=pairs)
        order = np.argsort(pair, kind="stable")
        place = np.arange(len(pair)) - np.repeat(np.cumsum(counts) - counts, counts)
        n = max(MULTIPLE, -(-int(counts.max(initial=0)) // MULTIPLE) * MULTIPLE)

        def spread(column: Any) -> Any:
            out = np.zeros((pairs, n, *column.shape[1:]), column.dtype)
            out[pair[order], place] = column[order]
            return out

        return cls(*(spread(c) for c in (features, label, weight, outside, item, category)))

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """All pairs of `parts`, in order, padded to the longest."""
        n = max(part.label.shape[1] for part in parts)
        return cls(*(np.concatenate([_widen(getattr(part, f.name), n) for part in parts]) for f in fields(cls)))

    def take(self, pairs: I64 | slice) -> Self:
        """The rows of some pairs, without the padding that only others needed."""
        n = max(MULTIPLE, -(-int(self.counts[pairs].max(initial=0)) // MULTIPLE) * MULTIPLE)
        return type(self)(*(getattr(self, f.name)[pairs, :n] for f in fields(self)))


def _widen(column: Any, n: int) -> Any:
    short = n - column.shape[1]
    return np.pad(column, [(0, 0), (0, short)] + [(0, 0)] * (column.ndim - 2))
