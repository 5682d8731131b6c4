"""How old what devices use is, in event time."""

import numpy as np

from device_sim.use_ages import observe_predictions
from monitor import metrics
from monitor.use import BUCKETS, used

CLICKED, LIKELY = np.ones(2, np.uint8), np.exp(-np.array([0.4, 0.9]))


def test_the_cloud_models_loss_is_kept_by_its_age() -> None:
    before = metrics.values().get("coda_cloud_log_loss_total", {})
    observe_predictions(
        np.array([100_000_000, 100_000_000]), [100_000_000 - 30_000, 100_000_000 - 7_200_000], CLICKED, LIKELY
    )
    grown = {age: n - before.get(age, 0) for age, n in metrics.values()["coda_cloud_log_loss_total"].items()}
    assert abs(grown["age=< 1 h"] - 0.4) < 1e-9 and abs(grown["age=1 h"] - 0.9) < 1e-9


def test_the_age_of_a_model_is_since_it_learned_last() -> None:
    before = {each.use: each for each in used(metrics.values().get(BUCKETS, {}))}.get("model")
    observe_predictions(
        np.array([100_000_000, 100_000_000]), [100_000_000 - 30_000, 100_000_000 - 7_200_000], CLICKED, LIKELY
    )
    (after,) = [each for each in used(metrics.values()[BUCKETS]) if each.use == "model"]
    grown = after.count - (before.count if before else 0)
    older = after.older[3600.0] * after.count - (before.older[3600.0] * before.count if before else 0)
    assert (grown, round(older)) == (2, 1)


def test_what_learned_from_later_events_is_not_older_than_nothing() -> None:
    observe_predictions(np.array([5]), [9_000_000], CLICKED[:1], LIKELY[:1])
    assert all(0 <= share <= 1 for each in used(metrics.values()[BUCKETS]) for share in each.older.values())
