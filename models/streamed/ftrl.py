"""FTRL-Proximal: logistic regression on a stream, a million weights, each with a rate of its own.

McMahan et al. 2013, "Ad click prediction: a view from the trenches". It learns a block of moments at a time: the
gradient is the block's, so that what is in every row moves no faster than what is rare.
"""

import numpy as np

from models.streamed.rest import Rest
from wire.arrays import F64, I64

BITS = 20  # of a coordinate: two tables of 8 MB
_RATE, _BETA, _L1, _L2 = 0.1, 1.0, 1.0, 1.0  # customary; a weight that has seen little stays 0


class Ftrl:
    """Weights by coordinate, 0 until they are learned."""

    def __init__(self) -> None:
        self._z, self._n, self._gradient = (np.zeros(1 << BITS) for _ in range(3))

    def logits(self, at: I64) -> F64:
        """The sum of the weights (n,) at coordinates `at` (n, k)."""
        # Row by row in memory: else numpy adds a row that comes alone up in another order than one among others.
        total: F64 = np.ascontiguousarray(self._weights(at)).sum(axis=1)
        return total

    def learn(self, at: I64, residual: F64) -> None:
        """One step: `residual` (n,), label minus what was expected, of moments at coordinates `at` (n, k)."""
        places = at.ravel()
        np.add.at(self._gradient, places, np.repeat(-residual, at.shape[1]))
        gradient, weight = self._gradient[places], self._weights(places)
        before = self._n[places]
        after = before + gradient**2
        # A coordinate may be there several times: each time the same is written.
        self._z[places] += gradient - (np.sqrt(after) - np.sqrt(before)) / _RATE * weight
        self._n[places] = after
        self._gradient[places] = 0

    def state(self) -> Rest:
        """The weights at rest."""
        return self._z, self._n

    def restore(self, state: Rest) -> None:
        """Become those that were at rest in `state`."""
        self._z[:], self._n[:] = state

    def _weights(self, at: I64) -> F64:
        z = self._z[at]
        slow = (_BETA + np.sqrt(self._n[at])) / _RATE + _L2
        weights: F64 = -np.sign(z) * np.maximum(np.abs(z) - _L1, 0) / slow
        return weights
