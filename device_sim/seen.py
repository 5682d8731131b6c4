"""The keys of the newest own events: a repeated event must not count twice."""

import numpy as np

from wire.arrays import U64

REMEMBERED = 1024  # events: four default windows, in 8 kB per device
_FIRST = 32


class Seen:
    """A ring of the newest `REMEMBERED` keys.

    >>> seen = Seen()
    >>> seen.add(7), seen.add(7)
    (True, False)
    """

    __slots__ = ("_added", "_keys")

    def __init__(self) -> None:
        self._keys: U64 = np.zeros(_FIRST, np.uint64)
        self._added = 0

    def add(self, key: int) -> bool:
        """Remember a key (never 0); False when it is here already."""
        if np.count_nonzero(self._keys == key):
            return False
        if self._added == len(self._keys) < REMEMBERED:
            self._keys = np.concatenate([self._keys, np.zeros_like(self._keys)])
        self._keys[self._added % len(self._keys)] = key
        self._added += 1
        return True

    def state(self) -> bytes:
        """The keys at rest, oldest first."""
        if self._added <= len(self._keys):
            return self._keys[: self._added].tobytes()
        oldest = self._added % len(self._keys)
        return self._keys[oldest:].tobytes() + self._keys[:oldest].tobytes()

    @classmethod
    def restore(cls, state: bytes) -> "Seen":
        """The keys that were at rest in `state`."""
        seen, keys = cls(), np.frombuffer(state, np.uint64)
        while len(seen._keys) < len(keys):
            seen._keys = np.zeros(2 * len(seen._keys), np.uint64)
        seen._keys[: len(keys)], seen._added = keys, len(keys)
        return seen
