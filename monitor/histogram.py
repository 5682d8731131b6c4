"""Histograms that can be added, subtracted and asked for quantiles."""

import math
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Histogram:
    """Cumulative counts at upper bounds (seconds for ours), the last bound being infinity."""

    bounds: tuple[float, ...]
    counts: tuple[float, ...]

    @property
    def count(self) -> float:
        """How many observations there are."""
        return self.counts[-1] if self.counts else 0.0

    def quantile(self, q: float) -> float:
        """The `q` quantile, linear within its bucket; nan when there is nothing, the last finite bound beyond it.

        >>> Histogram((1.0, 2.0, math.inf), (0, 10, 10)).quantile(0.5)
        1.5
        """
        if self.count == 0:
            return math.nan
        rank = q * self.count
        below, lower = 0.0, 0.0
        for bound, count in zip(self.bounds, self.counts, strict=True):
            if count >= rank and count > below:
                inside = (rank - below) / (count - below)
                return lower if math.isinf(bound) else lower + inside * (bound - lower)
            below, lower = count, bound
        return lower

    def combine(self, other: "Histogram", sign: int) -> "Histogram":
        """The sum (`sign` 1) or the growth since `other` (-1; never negative, a restarted process counts anew)."""
        if not other.counts:
            return self
        if not self.counts:
            return other if sign > 0 else self
        assert self.bounds == other.bounds, "histograms of one name share their buckets"
        steps = [a + sign * b for a, b in zip(_steps(self.counts), _steps(other.counts), strict=True)]
        total, counts = 0.0, []
        for step in steps:
            total += max(step, 0.0)
            counts.append(total)
        return Histogram(self.bounds, tuple(counts))


NO_HISTOGRAM = Histogram((), ())


def _steps(counts: tuple[float, ...]) -> list[float]:
    return [counts[0], *(b - a for a, b in pairwise(counts))]
