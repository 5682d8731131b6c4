"""The samples of the window in memory, as columns, numbered in the order they came.

Rows leave mostly at the front. They are kept in arrays with an offset, so every range of rows is a view. Before the
arrays are full, those that are still needed begin to move to new ones, some with each that comes. What a search asks of
a row that it found lies side by side, in half a line of the cache: rows are found all over the window, and each line is
waited for. Their vectors are with what compares them (`index.memory`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.compiled import compiled
from index.fetched import NO_ROW
from index.matches import Matches
from index.scored import BITS, ROW, as_bits
from index.window import Floor
from models.sample import SampleBlock
from wire.arrays import F16, F64, I64, U8, U32, U64, Bool

_ASKED = {
    "timestamp": np.int64,
    "user": np.uint64,
    "item": np.uint32,
    "category": np.uint32,
    "logit": np.float16,
    "label": np.uint8,
    "times": np.uint8,
    "live": np.bool_,
}
_ROW = np.dtype(list(_ASKED.items()), align=True)  # 32 bytes
_COLUMNS = (*_ASKED, "sample")
_BITS = as_bits(_ROW)
SEEN = _ROW[["timestamp", "user", "live"]]  # of a row, as it lies, what says whether a query may see it
MOVE = 8  # rows move for each that comes, from when an eighth of the room is left: then all have, once none is


class _Arrays:
    """Room for rows from `base` on; those before `end` are there."""

    def __init__(self, base: int, capacity: int) -> None:
        self.base = self.end = base
        rows = np.zeros(capacity, _ROW)
        self.rows = rows
        self.columns: dict[str, Any] = {name: rows[name] for name in _ASKED}
        self.columns["sample"] = np.zeros(capacity, np.uint64)
        self.nbytes: int = rows.nbytes + self.columns["sample"].nbytes


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
    live: Bool

    def __init__(self, capacity: int = 1024) -> None:
        self.first = 0
        self.end = 0
        self._next: _Arrays | None = None  # that rows move to
        self._use(_Arrays(0, capacity))

    def at(self, rows: I64) -> I64:
        """The places of rows in the columns."""
        return rows - self._base

    def span(self, start: int, stop: int) -> slice:
        """The places of rows `start` … `stop` - 1."""
        return slice(start - self._base, stop - self._base)

    def told(self, matches: Matches) -> tuple[NDArray[np.void], I64]:
        """The candidates that were found as `ROW`s, (n,), those of each query up to its end, (q,)."""
        rows, end = np.empty(matches.row.size, ROW), np.empty(len(matches), np.int64)
        whole = np.ascontiguousarray  # of another layout each would be compiled for anew
        asked = whole(matches.row), whole(matches.score), whole(matches.before_ms)
        _tell((self._rows.view(_BITS), self._base), asked, (rows.view(BITS), end))
        return rows[: end[-1]] if len(end) else rows, end

    @property
    def seen(self) -> tuple[NDArray[np.void], int]:
        """All rows as `SEEN`, and the number of the first of these, until the next `append`."""
        return self._rows.view(SEEN), self._base

    def append(self, block: SampleBlock) -> None:
        """Add encoded samples as rows `end` … ; logits are rounded to float16, as on disk."""
        assert block.logit is not None, "the block is not encoded"
        self._make_room(len(block))
        to = self.span(self.end, self.end + len(block))
        for name in _COLUMNS:
            getattr(self, name)[to] = True if name == "live" else getattr(block, name)
        self.end += len(block)
        self._move_on(len(block))

    def copy_rows(self, rows: I64) -> None:
        """Add copies of live `rows` at the end and let the originals die."""
        self._make_room(len(rows))
        places = self.at(rows)
        to = self.span(self.end, self.end + len(rows))
        for name in _COLUMNS:
            column = getattr(self, name)
            column[to] = column[places]
        self.live[places] = False
        self.end += len(rows)

    def expire(self, start: int, stop: int, floor: Floor) -> int:
        """Mark rows of a range at or below `floor` dead; returns how many died."""
        return self._up_to(start, stop, floor, dies=True)

    def count_up_to(self, start: int, stop: int, floor: Floor) -> int:
        """How many live rows of a range are at or below `floor`."""
        return self._up_to(start, stop, floor, dies=False)

    def nbytes(self) -> int:
        """Bytes of the columns."""
        return self._nbytes + (0 if self._next is None else self._next.nbytes)

    def _up_to(self, start: int, stop: int, floor: Floor, *, dies: bool) -> int:
        span = self.span(start, stop)
        last = floor.timestamp, np.uint64(floor.sample)
        return _up_to(self._rows[span].view(_BITS), self.sample[span], last, dies)

    def _make_room(self, n: int) -> None:
        while self.end - self._base + n > len(self.live):
            to = self._next or self._begin_move(n)
            self._move(to, self.end - to.end)
            to.columns["live"][: self.end - to.base] = self.live[self.span(to.base, self.end)]  # some died meanwhile
            self._next = None
            self._use(to)

    def _move_on(self, n: int) -> None:
        """Once there is little room left, move some rows for the n that came."""
        if MOVE * (len(self.live) - (self.end - self._base)) <= len(self.live):
            self._move(self._next or self._begin_move(n), MOVE * n)

    def _begin_move(self, n: int) -> _Arrays:
        used, capacity = self.end - self.first, len(self.live)
        # Into as much room only when that frees at least half, so that each row moves O(1) times.
        room = capacity if used + n <= capacity // 2 else max(2 * capacity, used + n)
        self._next = _Arrays(self.first, room)
        return self._next

    def _move(self, to: _Arrays, n: int) -> None:
        stop = min(self.end, to.end + n)
        for name, column in to.columns.items():
            column[to.end - to.base : stop - to.base] = getattr(self, name)[self.span(to.end, stop)]
        to.end = stop

    def _use(self, arrays: _Arrays) -> None:
        self._base, self._nbytes, self._rows = arrays.base, arrays.nbytes, arrays.rows
        for name, column in arrays.columns.items():
            setattr(self, name, column)


@compiled
def _tell(table: tuple[NDArray[np.void], int], asked: tuple[I64, F64, I64], into: tuple[NDArray[np.void], I64]) -> None:
    (rows, base), (row, score, before_ms), (told, end) = table, asked, into
    n = 0
    for query in range(len(row)):
        for label in range(row.shape[1]):
            for at in range(row.shape[2]):
                number = row[query, label, at]
                if number == NO_ROW:
                    break
                each, to = rows[number - base], told[n]
                to.score = score[query, label, at]
                to.item, to.category, to.logit = each.item, each.category, each.logit
                to.label, to.times = each.label, each.times
                to.age_s = (before_ms[query] - each.timestamp) // 1000
                n += 1
        end[query] = n


@compiled
def _up_to(rows: NDArray[np.void], sample: U64, floor: tuple[int, np.uint64], dies: bool) -> int:
    """How many live rows are at or below a floor: whoever `dies` is marked."""
    (timestamp, last), n = floor, 0
    for at in range(len(rows)):
        row = rows[at]
        if row.live and (row.timestamp < timestamp or (row.timestamp == timestamp and sample[at] <= last)):
            row.live = not dies
            n += 1
    return n
