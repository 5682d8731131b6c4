"""Normal equations of one logistic regression over all devices, which see each other's events in sums alone.

With p what is expected of an event without the regression, x its columns and y its label, the logistic loss to second
order around p (as in `models.head_fit`) has its minimum at

    (precision · I + Σ p(1−p) x xᵀ)⁻¹ Σ (y − p) x

for weights of prior N(0, 1/precision). x and y are taken from their means within each interval of a few events of one
device: weights say how to rank what a user meets by then. Otherwise they also learn who clicks more and when, which the
user bias is for. A device takes the means out itself, so that it can add up its intervals.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from models.head_fit import LEAST_CURVATURE
from wire.arrays import F32, F64, I64


@dataclass(frozen=True, slots=True)
class Regression:
    """A regression on so many `columns`."""

    columns: int

    @property
    def evidence_width(self) -> int:
        """What an event teaches: Σ p(1−p) x xᵀ without what is below its diagonal, and Σ (y−p) x, where each x ends
        with a 1."""
        return (self.columns + 1) * (self.columns + 4) // 2

    @property
    def width(self) -> int:
        """Normal equations: the same without the 1, which the means have become."""
        return self.columns * (self.columns + 3) // 2

    def evidence(self, x: F32 | F64, expected: F64, label: F64) -> F64:
        """What each of n events teaches, (n, evidence_width), of which `expected` (n,) was expected, from their columns
        `x` (n, columns) and labels (n,)."""
        x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
        curvature = np.maximum(expected * (1 - expected), LEAST_CURVATURE)[:, None]
        row, column = _upper(self.columns + 1)
        return np.concatenate([curvature * x[:, row] * x[:, column], (label - expected)[:, None] * x], axis=1)

    def within(self, evidence: F64) -> F64:
        """The normal equations (width,) of one interval from its summed evidence (evidence_width,)."""
        gram, pull = _unfolded(evidence, self.columns + 1)
        mean = gram[-1, :-1] / max(gram[-1, -1], LEAST_CURVATURE)
        return self.folded(gram[:-1, :-1] - mean[:, None] * gram[-1, :-1], pull[:-1] - mean * pull[-1])

    def folded(self, gram: F64, pull: F64) -> F64:
        """The normal equations gram · w = pull, (columns, columns) and (columns,), in one row (width,)."""
        return np.concatenate([gram.take(_upper_places(self.columns)), pull])

    def unfolded(self, equations: F64) -> tuple[F64, F64]:
        """Gram matrix (columns, columns) and pull (columns,) of `equations` (width,)."""
        return _unfolded(equations, self.columns)

    def solved(self, equations: F64, precision: float, mean: float = 0.0) -> F64:
        """The weights (columns,) that the sum of all normal equations (width,) speaks for, of prior N(mean,
        1/precision)."""
        gram, pull = self.unfolded(equations)
        # By eigenvalues, none below 0: a device may report what no events make, and a singular matrix must end nothing.
        value, vector = np.linalg.eigh(gram)
        weight: F64 = vector @ (vector.T @ (pull - mean * gram.sum(axis=1)) / (np.maximum(value, 0) + precision))
        return mean + weight


@cache
def _upper(size: int) -> tuple[I64, I64]:
    """Rows and columns of what is not below the diagonal, which every few events need."""
    return np.triu_indices(size)


@cache
def _upper_places(size: int) -> I64:
    """Where what is not below the diagonal lies in a matrix whose rows lie one after the other."""
    row, column = _upper(size)
    return size * row + column


@cache
def _mirrored(size: int) -> I64:
    """Where what each cell of a symmetric matrix holds lies among what is not below its diagonal, (size, size)."""
    place = np.zeros((size, size), np.int64)
    place[_upper(size)] = place.T[_upper(size)] = np.arange(size * (size + 1) // 2)
    return place


def _unfolded(folded: F64, size: int) -> tuple[F64, F64]:
    return folded[:-size].take(_mirrored(size)), folded[-size:]
