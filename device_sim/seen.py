"""The keys of the newest own events: a repeated event must not count twice."""

from typing import Self

import numpy as np

from device_sim.ring import Ring

REMEMBERED = 1024  # events; ours: as many as a default window has, in 8 kB per device


class Seen:
    """The newest `REMEMBERED` keys.

    >>> seen = Seen()
    >>> seen.add(7), seen.add(7)
    (True, False)
    """

    __slots__ = ("_keys",)

    def __init__(self) -> None:
        self._keys = Ring(np.uint64, REMEMBERED)

    def add(self, key: int) -> bool:
        """Remember a key; False when it is here already."""
        if (self._keys.held == key).any():
            return False
        self._keys.add(key)
        return True

    def state(self) -> bytes:
        """The keys at rest."""
        return self._keys.state()

    @classmethod
    def restore(cls, state: bytes) -> Self:
        """The keys that were at rest in `state`."""
        seen = cls()
        seen._keys = Ring.restore(np.uint64, REMEMBERED, state)
        return seen
