"""Histograms: quantiles against numpy, sums and differences."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.histogram import Histogram

BOUNDS = (0.1, 0.2, 0.5, 1.0, math.inf)


def histogram_of(values: list[float]) -> Histogram:
    return Histogram(BOUNDS, tuple(float(sum(v <= bound for v in values)) for bound in BOUNDS))


@given(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=50), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_lies_in_the_bucket_of_the_true_quantile(values: list[float], q: float) -> None:
    true = float(np.quantile(values, q, method="inverted_cdf"))
    upper = next(b for b in BOUNDS if true <= b)
    lower = max((b for b in (0.0, *BOUNDS) if b < true), default=0.0)
    assert lower <= histogram_of(values).quantile(q) <= upper


def test_a_quantile_beyond_the_last_bound_is_that_bound_and_of_nothing_is_nan() -> None:
    assert histogram_of([70.0, 80.0]).quantile(0.5) == 1.0
    assert math.isnan(histogram_of([]).quantile(0.5))


@given(st.lists(st.floats(0, 2)), st.lists(st.floats(0, 2)))
def test_sum_and_difference_of_histograms_are_those_of_the_observations(
    first: list[float], second: list[float]
) -> None:
    both = histogram_of(first + second)
    assert histogram_of(first).combine(histogram_of(second), 1) == both
    assert both.combine(histogram_of(first), -1) == histogram_of(second)


def test_a_restarted_process_never_gives_negative_growth() -> None:
    assert histogram_of([0.05]).combine(histogram_of([0.05, 0.3, 0.3]), -1).count == 0
