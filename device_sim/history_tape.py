"""Histories of samples, one after the other on one tape: nearly all of a history was in the one before it.

Of 1,024 samples with 30 positives each, histories apart from each other take 240 kB, and on a tape 8 B for each
positive between the samples.
"""

from typing import Self

import msgspec
import numpy as np

from models.history import KEY_BYTES
from wire.arrays import I64, U8, U32, Bool
from wire.sample import HISTORY_LEN


class TapeState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A tape at rest: keys as little-endian uint32, oldest first, `last` of them the newest history."""

    passed: int
    items: bytes
    categories: bytes
    last: int


class HistoryTape:
    """Item and category keys of positives, oldest first. A history is a stretch of it, known by its `end`, which counts
    from the first key that ever was, and its length.

    What is not in the history before is put down behind it. Of samples in order of time these are the positives between
    them; one that comes late puts all its history down, and the next one what is newer.
    """

    __slots__ = ("_categories", "_items", "_last", "_passed")

    def __init__(self) -> None:
        self._items, self._categories = bytearray(), bytearray()
        self._last = b"", b""
        self._passed = 0  # keys that were cut off

    @property
    def end(self) -> int:
        """How many keys were ever put down."""
        return self._passed + len(self._items) // KEY_BYTES

    @property
    def nbytes(self) -> int:
        """Bytes of the keys that are there."""
        return len(self._items) + len(self._categories)

    def add(self, items: bytes, categories: bytes) -> tuple[int, int]:
        """Put down the next history, as `History.bytes_before` gives it; its end and its length.

        >>> keys = [np.array(history, np.uint32).tobytes() for history in ([1], [3, 2, 1])]
        >>> tape = HistoryTape()
        >>> [tape.add(history, history) for history in keys], tape.nbytes
        ([(1, 1), (3, 3)], 24)
        """
        new, (last_items, last_categories) = 0, self._last
        while not (last_items.startswith(items[new:]) and last_categories.startswith(categories[new:])):
            new += KEY_BYTES
        self._items += _turned(items[:new])
        self._categories += _turned(categories[:new])
        self._last = items, categories
        return self.end, len(items) // KEY_BYTES

    def read(self, end: U32, length: U8) -> tuple[U32, U32]:
        """Item and category keys (n, HISTORY_LEN) of histories, newest first, padded with `NO_KEY`."""
        place = np.arange(HISTORY_LEN)
        filled: Bool = place < length[:, None]
        at: I64 = (end[:, None].astype(np.int64) - self._passed - 1 - place)[filled]
        histories = []
        for tape in self._items, self._categories:
            keys = np.zeros(filled.shape, np.uint32)
            keys[filled] = np.frombuffer(tape, np.uint32)[at]
            histories.append(keys)
        return histories[0], histories[1]

    def cut(self, first: int) -> None:
        """Let go of the keys before number `first`; the newest history stays."""
        first = min(first, self.end - len(self._last[0]) // KEY_BYTES)
        gone = KEY_BYTES * (first - self._passed)
        del self._items[:gone], self._categories[:gone]
        self._passed = first

    def state(self) -> TapeState:
        """The tape at rest."""
        last = len(self._last[0]) // KEY_BYTES
        return TapeState(self._passed, bytes(self._items), bytes(self._categories), last)

    @classmethod
    def restore(cls, state: TapeState) -> Self:
        """The tape that was at rest in `state`."""
        tape = cls()
        tape._passed, tape._items, tape._categories = state.passed, bytearray(state.items), bytearray(state.categories)
        first = len(state.items) - KEY_BYTES * state.last
        tape._last = _turned(state.items[first:]), _turned(state.categories[first:])
        return tape


def _turned(keys: bytes) -> bytes:
    return np.frombuffer(keys, np.uint32)[::-1].tobytes() if len(keys) > KEY_BYTES else keys
