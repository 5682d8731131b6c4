"""The samples of the window in memory, as columns, numbered in the order they came.

Rows leave mostly at the front. They are kept in plain arrays with an offset: when the arrays are full, live
rows move to the front (or the arrays double), so every range of rows is a view.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.window import Floor, above
from models.sample import SampleBlock
from wire.arrays import F16, F32, I64, U8, U32, U64, Bool


class Table:
    """Columns over rows `first` … `end` - 1; row numbers only grow and are never used again."""

    sample: U64
    user: U64
    item: U32
    category: U32
    label: U8
    times: U8
    timestamp: I64
    logit: F16
    match_key: F32
    live: Bool

    def __init__(self, key_dim: int, capacity: int = 1024) -> None:
        self.first = 0
        self.end = 0
        self._types: dict[str, tuple[Any, tuple[int, ...]]] = {
            "sample": (np.uint64, ()),
            "user": (np.uint64, ()),
            "item": (np.uint32, ()),
            "category": (np.uint32, ()),
            "label": (np.uint8, ()),
            "times": (np.uint8, ()),
            "timestamp": (np.int64, ()),
            "logit": (np.float16, ()),
            "match_key": (np.float32, (key_dim,)),
            "live": (np.bool_, ()),
        }
        self._base = 0  # the row number of the arrays' first place
        self._allocate(capacity)

    def at(self, rows: I64) -> I64:
        """The places of rows in the columns."""
        return rows - self._base

    def span(self, start: int, stop: int) -> slice:
        """The places of rows `start` … `stop` - 1."""
        return slice(start - self._base, stop - self._base)

    def append(self, block: SampleBlock) -> None:
        """Add encoded samples as rows `end` … ; logits are rounded to float16, as on disk."""
        assert block.match_key is not None and block.logit is not None, "the block is not encoded"
        self._make_room(len(block))
        to = self.span(self.end, self.end + len(block))
        for name in ("sample", "user", "item", "category", "label", "times", "timestamp", "logit", "match_key"):
            getattr(self, name)[to] = getattr(block, name)
        self.live[to] = True
        self.end += len(block)

    def copy_rows(self, rows: I64) -> None:
        """Add copies of live `rows` at the end and let the originals die."""
        self._make_room(len(rows))
        places = self.at(rows)
        to = self.span(self.end, self.end + len(rows))
        for name in self._types:
            column = getattr(self, name)
            column[to] = column[places]
        self.live[places] = False
        self.end += len(rows)

    def expire(self, start: int, stop: int, floor: Floor) -> int:
        """Mark rows of a range at or below `floor` dead; returns how many died."""
        span = self.span(start, stop)
        timestamp, live = self.timestamp[span], self.live[span]
        before = int(live.sum())
        live &= above(timestamp, self.sample[span], floor)
        return before - int(live.sum())

    def count_up_to(self, start: int, stop: int, floor: Floor) -> int:
        """How many live rows of a range are at or below `floor`."""
        span = self.span(start, stop)
        timestamp = self.timestamp[span]
        return int((self.live[span] & ~above(timestamp, self.sample[span], floor)).sum())

    def nbytes(self) -> int:
        """Bytes of the columns."""
        return sum(getattr(self, name).nbytes for name in self._types)

    def _make_room(self, n: int) -> None:
        used, capacity = self.end - self.first, len(self.live)
        if self.end - self._base + n <= capacity:
            return
        # Move when that frees at least half, so that each row moves O(1) times.
        self._allocate(capacity if used + n <= capacity // 2 else max(2 * capacity, used + n))

    def _allocate(self, capacity: int) -> None:
        live = self.span(self.first, self.end)
        for name, (dtype, shape) in self._types.items():
            column: NDArray[Any] = np.zeros((capacity, *shape), dtype)
            column[: self.end - self.first] = getattr(self, name)[live] if hasattr(self, name) else 0
            setattr(self, name, column)
        self._base = self.first
