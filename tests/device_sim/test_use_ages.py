"""How old what devices use is, in event time."""

import msgspec
import numpy as np

from device_sim.instruction import Train
from device_sim.stimulus import BatchArrived, Connected, TrainingSlot
from device_sim.use_ages import observe_predictions, observe_training
from monitor import metrics
from monitor.use import BUCKETS, used
from tests.device_sim.phone import Phone, only
from tests.device_sim.world import raw_batch
from wire.moments import EventMs

CLICKED, LIKELY = np.ones(2, np.uint8), np.exp(-np.array([0.4, 0.9]))


def test_the_cloud_models_loss_is_kept_by_its_age() -> None:
    before = metrics.values().get("coda_cloud_log_loss_total", {})
    observe_predictions(
        np.array([100_000_000, 100_000_000]), [100_000_000 - 30_000, 100_000_000 - 7_200_000], CLICKED, LIKELY
    )
    grown = {age: n - before.get(age, 0) for age, n in metrics.values()["coda_cloud_log_loss_total"].items()}
    assert abs(grown["age=< 1 h"] - 0.4) < 1e-9 and abs(grown["age=1 h"] - 0.9) < 1e-9


def older_than_an_hour() -> dict[str, float]:
    """How many of what was used so far, by what for."""
    return {each.use: each.older[3600.0] * each.count for each in used(metrics.values().get(BUCKETS, {}))}


def test_the_age_of_a_model_is_since_it_learned_last() -> None:
    before = older_than_an_hour().get("model", 0)
    observe_predictions(
        np.array([100_000_000, 100_000_000]), [100_000_000 - 30_000, 100_000_000 - 7_200_000], CLICKED, LIKELY
    )
    assert round(older_than_an_hour()["model"] - before) == 1


def test_the_age_of_what_a_device_trains_on_is_by_how_far_event_time_has_come() -> None:
    phone = Phone()
    phone.tell(Connected())
    phone.live(10)
    phone.tell(BatchArrived(raw_batch("ann", 0)))
    (train,) = only(Train, phone.tell(TrainingSlot()))
    before = older_than_an_hour()
    observe_training(msgspec.structs.replace(train, event_time=EventMs(train.event_time + 7_200_000)))
    grown = {use: round(n - before.get(use, 0)) for use, n in older_than_an_hour().items()}
    assert (grown["own"], grown["matched"], grown["random"]) == (10, 16, 16)


def test_what_learned_from_later_events_is_not_older_than_nothing() -> None:
    observe_predictions(np.array([5]), [9_000_000], CLICKED[:1], LIKELY[:1])
    assert all(0 <= share <= 1 for each in used(metrics.values()[BUCKETS]) for share in each.older.values())
