"""The sliding window of a device's own samples: raw keys, plus their vectors by the current cloud model.

Raw keys stay so that a new cloud model can encode the same samples again. Vectors are kept as float16: half the
memory, and the rounding is nothing beside what a head gets wrong.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from models.base import NONE
from models.history import KEY_BYTES
from wire.arrays import F16, F32, I64, U8, U32
from wire.columns import Columns
from wire.sample import HISTORY_LEN

_FIRST_ROWS = 16  # rows allotted to a new device


@dataclass(frozen=True, slots=True)
class WindowRows(Columns):
    """n own samples in time order; `model` is the key of the cloud model that made `interest` (0: not encoded yet).

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
    history_item: U32  # (n, HISTORY_LEN)
    history_category: U32
    base: F32
    interest: F16  # (n, d)
    model: I64


class WindowState(msgspec.Struct, frozen=True, array_like=True):
    """A window at rest: columns as little-endian bytes, histories without their padding."""

    next_seq: int
    newest: int
    item: bytes
    category: bytes
    label: bytes
    timestamp: bytes
    times: bytes
    since_s: bytes
    lengths: bytes  # uint8 (n,): positives in each history
    history_item: bytes
    history_category: bytes
    base: bytes
    interest: bytes
    model: bytes


class Window:
    """The newest `count` samples in arrival order, of which those younger than `age_ms` (event time) count.

    Age is measured from the newest event the device has seen, so a late event never makes others young again.
    """

    __slots__ = ("_columns", "_end", "_newest", "_next_seq", "_start", "age_ms", "count", "dim")

    def __init__(self, dim: int, count: int, age_ms: int) -> None:
        self.dim, self.count, self.age_ms = dim, count, age_ms
        self._columns = _allot(_FIRST_ROWS, dim)
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
        if self._end == len(self._columns["item"]):
            self._make_room()
        row, c = self._end, self._columns
        c["item"][row], c["category"][row], c["label"][row], c["timestamp"][row] = item, category, label, timestamp
        c["history_item"][row] = np.frombuffer(padded(history[0]), np.uint32)
        c["history_category"][row] = np.frombuffer(padded(history[1]), np.uint32)
        c["times"][row], c["since_s"][row] = taken
        c["base"][row] = base
        c["model"][row] = 0
        self._end += 1
        self._newest = max(self._newest, timestamp)
        self._next_seq += 1
        self._evict()
        return self._next_seq - 1

    def resize(self, count: int, age_ms: int) -> None:
        """Follow a new task; shrinking drops the oldest rows at once."""
        self.count, self.age_ms = count, age_ms
        self._evict()

    def set_vector(self, seq: int, interest: F32, model: int) -> None:
        """Keep the vector (d,) of one sample; nothing happens when the window has moved past it."""
        row = self._row(seq)
        if row >= self._start:
            self._columns["interest"][row] = interest
            self._columns["model"][row] = model

    def set_vectors(self, seqs: I64, interest: F16, model: int) -> None:
        """Keep the vectors (n, d) of many samples; those the window has moved past are skipped."""
        rows = seqs - (self._next_seq - self._end)
        held = rows >= self._start
        self._columns["interest"][rows[held]] = interest[held]
        self._columns["model"][rows[held]] = model

    def rows(self) -> WindowRows:
        """Every sample within the age limit, in time order; copies, so that a training may outlive changes."""
        c, held = self._columns, slice(self._start, self._end)
        times = c["timestamp"][held]
        order = np.argsort(times, kind="stable")
        order = order[times[order] >= self._newest - self.age_ms]
        seqs = np.arange(self._next_seq - (self._end - self._start), self._next_seq, dtype=np.int64)
        return WindowRows(seq=seqs[order], **{name: column[held][order] for name, column in c.items()})

    def labels(self) -> U8:
        """Labels of the samples within the age limit."""
        held = slice(self._start, self._end)
        labels: U8 = self._columns["label"][held][self._columns["timestamp"][held] >= self._newest - self.age_ms]
        return labels

    @property
    def newest(self) -> int:
        """The newest event time that the device has seen; 0 before the first event."""
        return self._newest

    def __len__(self) -> int:
        return self._end - self._start

    @property
    def nbytes(self) -> int:
        """Bytes that the held rows occupy."""
        return len(self) * sum(int(column[:1].nbytes) for column in self._columns.values())

    def state(self) -> WindowState:
        """The window at rest."""
        c, held = self._columns, slice(self._start, self._end)
        histories = c["history_item"][held]
        filled = histories != 0
        return WindowState(
            next_seq=self._next_seq,
            newest=self._newest,
            item=c["item"][held].tobytes(),
            category=c["category"][held].tobytes(),
            label=c["label"][held].tobytes(),
            timestamp=c["timestamp"][held].tobytes(),
            times=c["times"][held].tobytes(),
            since_s=c["since_s"][held].tobytes(),
            lengths=filled.sum(axis=1, dtype=np.uint8).tobytes(),
            history_item=histories[filled].tobytes(),
            history_category=c["history_category"][held][filled].tobytes(),
            base=c["base"][held].tobytes(),
            interest=c["interest"][held].tobytes(),
            model=c["model"][held].tobytes(),
        )

    @classmethod
    def restore(cls, state: WindowState, dim: int, count: int, age_ms: int) -> "Window":
        """The window that was at rest in `state`."""
        window = cls(dim, count, age_ms)
        lengths = np.frombuffer(state.lengths, np.uint8)
        n = len(lengths)
        c = window._columns = _allot(max(_FIRST_ROWS, n), dim)
        for name in ("item", "category", "label", "timestamp", "times", "since_s", "base", "interest", "model"):
            c[name][:n] = np.frombuffer(getattr(state, name), c[name].dtype).reshape(c[name][:n].shape)
        filled = np.arange(HISTORY_LEN) < lengths[:, None]
        for name in ("history_item", "history_category"):
            c[name][:n][filled] = np.frombuffer(getattr(state, name), np.uint32)
        window._end, window._next_seq, window._newest = n, state.next_seq, state.newest
        return window

    def _row(self, seq: int) -> int:
        return seq - (self._next_seq - self._end)

    def _evict(self) -> None:
        self._start = max(self._start, self._end - self.count)
        times, oldest = self._columns["timestamp"], self._newest - self.age_ms
        while self._start < self._end and times[self._start] < oldest:
            self._start += 1

    def _make_room(self) -> None:
        """Move the held rows to the front of columns with room for as many again, but of a full window for an eighth
        more: moving 1,024 rows of 398 B takes 110 µs, .9 µs for each of the next 128 events; room for as many again
        would take 400 kB more of every device.
        """
        n = len(self)
        spare = max(_FIRST_ROWS, self.count // 8)
        roomy = _allot(max(_FIRST_ROWS, min(2 * n, self.count + spare)), self.dim)
        for name, column in self._columns.items():
            roomy[name][:n] = column[self._start : self._end]
        self._columns, self._start, self._end = roomy, 0, n


def padded(history: bytes) -> bytes:
    """A history as `History.bytes_before` gives it, filled up with `NO_KEY` to HISTORY_LEN keys."""
    return history.ljust(HISTORY_LEN * KEY_BYTES, b"\0")


def _allot(rows: int, dim: int) -> dict[str, Any]:
    return {
        "item": np.zeros(rows, np.uint32),
        "category": np.zeros(rows, np.uint32),
        "label": np.zeros(rows, np.uint8),
        "timestamp": np.zeros(rows, np.int64),
        "times": np.zeros(rows, np.uint8),
        "since_s": np.zeros(rows, np.uint32),
        "history_item": np.zeros((rows, HISTORY_LEN), np.uint32),
        "history_category": np.zeros((rows, HISTORY_LEN), np.uint32),
        "base": np.zeros(rows, np.float32),
        "interest": np.zeros((rows, dim), np.float16),
        "model": np.zeros(rows, np.int64),
    }
