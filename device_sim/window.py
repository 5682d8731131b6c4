"""The sliding window of a device's own samples: raw keys, and what base or cloud model expected of each.

Raw keys and histories stay so that a new cloud model can encode the same samples again. Of what a model makes of a
sample only the logit is kept: it is all that heads add to, in 4 bytes where a vector takes 64.
"""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from device_sim.history_tape import HistoryTape, TapeState
from models.base import NONE
from models.history import KEY_BYTES
from wire.arrays import F32, I64, U8, U32
from wire.columns import Columns
from wire.sample import HISTORY_LEN

_FIRST_ROWS = 16  # rows allotted to a new device
_ROW = np.dtype(
    [
        ("timestamp", "<i8"),
        ("item", "<u4"),
        ("category", "<u4"),
        ("since_s", "<u4"),
        ("base", "<f4"),
        ("logit", "<f4"),
        ("history_end", "<u4"),
        ("history_length", "u1"),
        ("label", "u1"),
        ("times", "u1"),
    ]
)
_KEPT = ("item", "category", "label", "timestamp", "times", "since_s", "base", "logit")  # columns of `WindowRows`


@dataclass(frozen=True, slots=True)
class WindowRows(Columns):
    """n own samples in time order; `logit` is what the base, or else the cloud model in use, expected of each, NaN
    where it is to be encoded yet.

    `times` positives of the item came before the sample, the newest `since_s` seconds before it; `base` as in
    `models.base`.
    """

    seq: I64
    item: U32
    category: U32
    label: U8
    timestamp: I64
    times: U8
    since_s: U32
    base: F32
    logit: F32


@dataclass(frozen=True, slots=True)
class Unencoded(Columns):
    """What encoding the n rows of `WindowRows` takes that have no logit yet, in the same order."""

    seq: I64
    item: U32
    category: U32
    history_item: U32  # (n, HISTORY_LEN)
    history_category: U32


class WindowState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A window at rest: rows as they lie here."""

    next_seq: int
    newest: int
    rows: bytes
    tape: TapeState


class Window:
    """The newest `count` samples in arrival order, of which those younger than `age_ms` (event time) count.

    Age is measured from the newest event the device has seen, so a late event never makes others young again.
    """

    __slots__ = ("_end", "_newest", "_next_seq", "_rows", "_start", "_tape", "age_ms", "count")

    def __init__(self, count: int, age_ms: int) -> None:
        self.count, self.age_ms = count, age_ms
        self._rows: NDArray[np.void] = np.zeros(_FIRST_ROWS, _ROW)
        self._tape = HistoryTape()
        self._start = self._end = 0
        self._next_seq = 0
        self._newest = 0

    def append(
        self,
        item: int,
        category: int,
        label: int,
        timestamp: int,
        *,
        taken: tuple[int, int],
        history: tuple[bytes, bytes],
        base: float = NONE,
    ) -> int:
        """Add one sample with `taken` and `history` as `InteractionLog.before` and `History.bytes_before` give them;
        returns its sequence number.
        """
        if self._end == len(self._rows):
            self._make_room()
        times, since_s = taken
        row = timestamp, item, category, since_s, base, base, *self._tape.add(*history), label, times
        self._rows[self._end] = row
        self._end += 1
        self._newest = max(self._newest, timestamp)
        self._next_seq += 1
        self._evict()
        return self._next_seq - 1

    def resize(self, count: int, age_ms: int) -> None:
        """Follow a new task; shrinking drops the oldest rows at once."""
        self.count, self.age_ms = count, age_ms
        self._evict()

    def set_logit(self, seq: int, logit: float) -> None:
        """Keep what was expected of one sample; nothing happens when the window has moved past it."""
        row = self._row(seq)
        if row >= self._start:
            self._rows["logit"][row] = logit

    def set_logits(self, seqs: I64, logits: F32) -> None:
        """Keep what was expected of many samples (n,); those the window has moved past are skipped."""
        rows = seqs - (self._next_seq - self._end)
        held = rows >= self._start
        self._rows["logit"][rows[held]] = logits[held]

    def forget_logits(self) -> None:
        """There is another cloud model: what has no base is to be encoded again."""
        self._rows["logit"] = self._rows["base"]

    def rows(self) -> WindowRows:
        """Every sample within the age limit, in time order; copies, so that a training may outlive changes."""
        order = self._order()
        held = self._rows[order]
        return WindowRows(self._seqs(order), **{name: held[name].copy() for name in _KEPT})

    def unencoded(self) -> Unencoded:
        """Those of `rows` without a logit."""
        order = self._order()
        order = order[np.isnan(self._rows["logit"][order])]
        held = self._rows[order]
        histories = self._tape.read(held["history_end"], held["history_length"])
        return Unencoded(self._seqs(order), held["item"].copy(), held["category"].copy(), *histories)

    @property
    def young(self) -> int:
        """How many samples are within the age limit."""
        return int(np.count_nonzero(self._rows["timestamp"][self._start : self._end] >= self._newest - self.age_ms))

    @property
    def newest(self) -> int:
        """The newest event time that the device has seen; 0 before the first event."""
        return self._newest

    def __len__(self) -> int:
        return self._end - self._start

    @property
    def nbytes(self) -> int:
        """Bytes that the held rows occupy."""
        return len(self) * _ROW.itemsize + self._tape.nbytes

    def state(self) -> WindowState:
        """The window at rest."""
        rows = self._rows[self._start : self._end].tobytes()
        return WindowState(self._next_seq, self._newest, rows, self._tape.state())

    @classmethod
    def restore(cls, state: WindowState, count: int, age_ms: int) -> "Window":
        """The window that was at rest in `state`: where it held more than `count`, which a task that is gone by now
        allowed, it goes on holding so many until another task comes."""
        rows = np.frombuffer(state.rows, _ROW)
        window = cls(max(count, len(rows)), age_ms)
        window._rows = np.zeros(max(_FIRST_ROWS, len(rows)), _ROW)
        window._rows[: len(rows)] = rows
        window._tape = HistoryTape.restore(state.tape)
        window._end, window._next_seq, window._newest = len(rows), state.next_seq, state.newest
        return window

    def _order(self) -> I64:
        """Places of the samples within the age limit, in time order."""
        times = self._rows["timestamp"][self._start : self._end]
        order = np.argsort(times, kind="stable")
        return self._start + order[times[order] >= self._newest - self.age_ms]

    def _seqs(self, rows: I64) -> I64:
        return rows + (self._next_seq - self._end)

    def _row(self, seq: int) -> int:
        return seq - (self._next_seq - self._end)

    def _evict(self) -> None:
        before, self._start = self._start, max(self._start, self._end - self.count)
        times, oldest = self._rows["timestamp"], self._newest - self.age_ms
        while self._start < self._end and times[self._start] < oldest:
            self._start += 1
        if self._start > before:
            self._cut_tape()

    def _cut_tape(self) -> None:
        """Let go of histories that only rows had which are gone."""
        if self._start < self._end:
            first = self._rows[self._start]
            self._tape.cut(int(first["history_end"]) - int(first["history_length"]))
        else:
            self._tape.cut(self._tape.end)

    def _make_room(self) -> None:
        """Move the held rows to the front of room for as many again, but of a full window for an eighth more: moving
        1,024 rows of 35 B takes some µs, and room for as many again would take 32 kB more of every device.
        """
        n = len(self)
        spare = max(_FIRST_ROWS, self.count // 8)
        roomy = np.zeros(max(_FIRST_ROWS, min(2 * n, self.count + spare)), _ROW)
        roomy[:n] = self._rows[self._start : self._end]
        self._rows, self._start, self._end = roomy, 0, n


def padded(history: bytes) -> bytes:
    """A history as `History.bytes_before` gives it, filled up with `NO_KEY` to HISTORY_LEN keys."""
    return history.ljust(HISTORY_LEN * KEY_BYTES, b"\0")
