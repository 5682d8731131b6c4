import math
from itertools import accumulate

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.freshness import observe_freshness
from monitor.histogram import Histogram
from monitor.metrics import FRESHNESS_BUCKETS_S, Metrics


def shown(metrics: Metrics, stage: str) -> dict[str, float]:
    """The histogram of a stage as Prometheus would read it."""
    (family,) = metrics.freshness_s.collect()
    samples = [s for s in family.samples if s.labels.get("stage") == stage and not s.name.endswith("_created")]
    return {s.name + s.labels.get("le", ""): s.value for s in samples}


def test_many_at_once_count_as_one_by_one() -> None:
    metrics, now_ms = Metrics(), 1_000_000
    produced_ms = now_ms - np.array([0, 1, 2, 5, 250, 251, 999, 1000, 60_000, 60_001, 10**6], np.int64)
    observe_freshness(metrics, "at once", produced_ms, now_ms)
    observe_freshness(metrics, "at once", produced_ms[:0], now_ms)
    for at in produced_ms.tolist():
        metrics.freshness_s.labels("one by one").observe((now_ms - at) / 1000)
    assert shown(metrics, "at once") == shown(metrics, "one by one")
    assert shown(metrics, "at once")["coda_freshness_seconds_count"] == len(produced_ms)


@given(st.floats(0.01, 0.6), st.floats(0.2, 0.7), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_of_ages_is_told_to_within_a_tenth(median_s: float, spread: float, q: float) -> None:
    metrics, now_ms = Metrics(), 10**6
    ages_ms = np.rint(1000 * median_s * np.exp(spread * np.random.default_rng(0).standard_normal(5000))).astype(int)
    observe_freshness(metrics, "pooled", now_ms - ages_ms, now_ms)
    told_s = Histogram((*FRESHNESS_BUCKETS_S, math.inf), tuple(accumulate(metrics.ages()["pooled"]))).quantile(q)
    true_s = float(np.quantile(ages_ms, q)) / 1000
    assert true_s > 2 or abs(told_s / true_s - 1) < 0.1
