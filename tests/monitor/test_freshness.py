import numpy as np

from monitor.freshness import observe_freshness
from monitor.metrics import Metrics


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
