"""Freshness: the age of things since they were produced, observed for many of them at once."""

import numpy as np
from numpy.typing import NDArray

from monitor import metrics


def observe_freshness(stage: str, produced_ms: NDArray[np.int64], now_ms: int) -> None:
    """Count the ages (wall clock) of n things at `stage`, as n calls of `freshness_s.observe` would.

    At 10,000 events/s those would be 2 % of a core; so the buckets are filled here, by their internal names.
    """
    if not len(produced_ms):
        return
    ages_s = (now_ms - produced_ms) / 1000
    histogram = metrics.freshness_s.labels(stage)
    counts = np.bincount(np.searchsorted(histogram._upper_bounds, ages_s), minlength=len(histogram._buckets))
    for bucket in np.flatnonzero(counts):
        histogram._buckets[bucket].inc(int(counts[bucket]))
    histogram._sum.inc(float(ages_s.sum()))
