"""A set of keys that are numbers of 64 bits, in some 12 to 24 bytes each; a set of Python's takes about 90.

An open table with linear probing (Knuth 1973, 6.4, algorithms L and R): a key lies at the place that its hash says, or
as closely behind it as there was one free. What is removed leaves no gap: those behind it that it kept from their place
move up.
"""

import numpy as np

from index.compiled import compiled
from wire.arrays import U64, Bool

LEAST_PLACES = 1024
_FREE = np.uint64(0)  # the key 0 is noted apart
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio (Knuth 1973, 6.4): keys that are no hashes spread, too


class KeySet:
    """Keys of 64 bits, none at first.

    >>> keys = KeySet()
    >>> keys.add(np.array([5, 0, 7], np.uint64))
    >>> keys.remove(np.array([7, 9], np.uint64))
    >>> keys.has(np.array([0, 5, 7], np.uint64)).tolist(), len(keys)
    ([True, True, False], 2)
    """

    def __init__(self) -> None:
        self._places = np.zeros(LEAST_PLACES, np.uint64)
        self._taken = 0  # of the places
        self._zero = False  # whether 0 is in it

    def __len__(self) -> int:
        return self._taken + self._zero

    @property
    def nbytes(self) -> int:
        """Bytes of the table."""
        return self._places.nbytes

    def has(self, keys: U64) -> Bool:
        """Which of `keys` (n,) are in it, (n,)."""
        found = _has(self._places, np.ascontiguousarray(keys))
        return found | (keys == _FREE) if self._zero else found

    def add(self, keys: U64) -> None:
        """Add those of `keys` (n,) that are not in it."""
        self._make_room(self._taken + len(keys))
        self._taken += _add(self._places, np.ascontiguousarray(keys))
        self._zero = self._zero or bool((keys == _FREE).any())

    def remove(self, keys: U64) -> None:
        """Remove those of `keys` (n,) that are in it."""
        self._taken -= _remove(self._places, np.ascontiguousarray(keys))
        self._zero = self._zero and not (keys == _FREE).any()
        self._make_room(self._taken)

    def _make_room(self, n: int) -> None:
        """Let a third of the places or more be free where n are taken, and no more than seven eighths."""
        size = len(self._places)
        if 3 * n > 2 * size or (8 * n < size > LEAST_PLACES):
            there = self._places[self._places != _FREE]
            self._places = np.zeros(max(LEAST_PLACES, 1 << (3 * n // 2).bit_length()), np.uint64)
            _add(self._places, there)


@compiled
def _home(places: U64, key: np.uint64) -> int:
    return int((key * _SPREAD) >> np.uint64(32)) & (len(places) - 1)


@compiled
def _find(places: U64, key: np.uint64) -> int:
    """Where a key is, or else may be put."""
    at = _home(places, key)
    while places[at] != _FREE and places[at] != key:
        at = (at + 1) & (len(places) - 1)
    return at


@compiled
def _has(places: U64, keys: U64) -> Bool:
    found = np.empty(len(keys), np.bool_)
    for n, key in enumerate(keys):
        found[n] = places[_find(places, key)] != _FREE
    return found


@compiled
def _add(places: U64, keys: U64) -> int:
    added = 0
    for key in keys:
        at = _find(places, key)
        if places[at] != key:
            places[at] = key
            added += 1
    return added


@compiled
def _remove(places: U64, keys: U64) -> int:
    removed, last = 0, len(places) - 1
    for key in keys:
        gap = _find(places, key)
        if places[gap] == _FREE:
            continue
        removed, at = removed + 1, (gap + 1) & last
        while places[at] != _FREE:
            if (at - _home(places, places[at])) & last >= (at - gap) & last:
                places[gap], gap = places[at], at
            at = (at + 1) & last
        places[gap] = _FREE
    return removed
