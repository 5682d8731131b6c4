"""Decayed sums: what counts half as much after each half-life."""

from collections.abc import Sequence

import numpy as np

from models.streamed.rest import Rest
from wire.arrays import F32, F64, I64

# Half-lives that a landmark may lie behind: amounts are kept as they would be worth at the landmark, 2^60 times as much
# by then, and 2^127 is where float32 ends.
_FAR = 60


class Decayed:
    """Sums of n rows at each of h half-lives; those that may reach 2^24, where float32 loses ones, are to be `exact`.

    Forward decay (Cormode et al. 2009): an amount is kept as if it had come at a landmark, so that to add is all there
    is to do, in any order, and all that is kept fades alike when it is looked at.

    >>> sums = Decayed(2, [1000.0])
    >>> sums.add(np.array([0, 0]), np.array([0, 1000]))
    >>> sums.at(np.array([0, 1]), np.array([1000, 1000])).tolist()
    [[1.5], [0.0]]
    """

    def __init__(self, rows: int, half_lives_ms: Sequence[float], *, exact: bool = False) -> None:
        shape = (rows, len(half_lives_ms))
        self._sums: F32 | F64 = np.zeros(shape, np.float64) if exact else np.zeros(shape, np.float32)
        self._half_ms = np.array(half_lives_ms)
        self._landmark_ms: F64 = np.full(len(half_lives_ms), np.nan)  # the first amount's time, until it is too far
        self._begun = False  # there was one

    def add(self, row: I64, timestamp: I64, amount: F64 | None = None) -> None:
        """Add `amount` (n,), or 1, to each of `row` (n,), as of `timestamp` (n,) in ms."""
        if not len(row):
            return
        self._move_on(float(timestamp.max()))
        worth = np.exp2(np.maximum((timestamp[:, None] - self._landmark_ms) / self._half_ms, -_FAR))
        worth = (worth if amount is None else worth * amount[:, None]).astype(self._sums.dtype)
        cell = row[:, None] * len(self._half_ms) + np.arange(len(self._half_ms))
        np.add.at(self._sums.reshape(-1), cell.ravel(), worth.ravel())  # flat: many times faster than by rows

    def at(self, row: I64, timestamp: I64) -> F64:
        """The sums of `row` (…) as of `timestamp`, which has its shape or one that broadcasts: (…, h)."""
        if not self._begun:
            return np.zeros((*row.shape, len(self._half_ms)))
        faded: F64 = self._landmark_ms - timestamp[..., None]
        faded /= self._half_ms
        np.exp2(faded, out=faded)
        return self._sums.take(row, axis=0) * faded  # many times faster than by an index

    def clear(self, row: I64) -> None:
        """Nothing has come to these rows."""
        self._sums[row] = 0

    def state(self) -> Rest:
        """The sums at rest."""
        return self._sums, self._landmark_ms

    def restore(self, state: Rest) -> None:
        """Become those that were at rest in `state`."""
        self._sums[:], self._landmark_ms[:] = state
        self._begun = not np.isnan(self._landmark_ms).any()

    def _move_on(self, now_ms: float) -> None:
        """Take the landmarks along that lie too far behind."""
        if not self._begun:
            self._landmark_ms[:], self._begun = now_ms, True
        passed = (now_ms - self._landmark_ms) / self._half_ms
        for n in np.flatnonzero(passed > _FAR):
            self._sums[:, n] *= np.exp2(-passed[n]).astype(self._sums.dtype)
            self._landmark_ms[n] = now_ms
