"""Which row of an embedding table a key has: what every item of every history is asked for.

`np.searchsorted` takes about 80 ns for it (20,000 keys): each of its 15 comparisons waits for the one before. But keys
are hashes (`wire.ids`), so their leading bits alone say where among the sorted keys one is, give or take a few
places. A table of these places and a few comparisons of whole arrays take about 12 ns.
"""

import numpy as np

from wire.arrays import I64, U32

_MOST = 8  # comparisons; keys that crowd together so much are no hashes, and are searched for


class KeyRows:
    """The rows of sorted distinct `keys`: their places plus 1; any other key has row 0.

    >>> KeyRows(np.array([3, 5], np.uint32)).of(np.array([[5, 4], [3, 0]], np.uint32)).tolist()
    [[2, 0], [1, 0]]
    """

    def __init__(self, keys: U32) -> None:
        bits = len(keys).bit_length() + 1  # two to four starts per key
        self._shift = np.uint32(32 - bits)
        firsts = np.arange(1 << bits, dtype=np.uint64) << np.uint64(self._shift)
        self._start: I64 = np.searchsorted(keys, firsts)  # of the keys that begin with these bits
        self._most = int(np.diff(self._start, append=len(keys)).max(initial=0))
        self._keys = np.append(keys, np.uint32(2**32 - 1))  # one behind the last to compare with, of row 0
        self._rows = np.append(np.arange(1, len(keys) + 1), 0)

    def of(self, keys: U32) -> I64:
        """Rows of `keys`, same shape."""
        if self._most > _MOST:
            place = np.searchsorted(self._keys[:-1], keys)
        else:
            place = self._start.take(keys >> self._shift)
            for _ in range(self._most):
                place += self._keys.take(place) < keys
        rows: I64 = self._rows.take(place) * (self._keys.take(place) == keys)
        return rows
