"""How old what devices use is, in event time."""

import msgspec
import numpy as np

from device_sim.instruction import Train
from device_sim.stimulus import BatchArrived, Connected, TrainingSlot
from device_sim.use_ages import observe_predictions, observe_training
from monitor.metrics import Metrics
from monitor.use import BUCKETS, used
from tests.device_sim.phone import Phone, only
from tests.device_sim.world import raw_batch
from wire.moments import EventMs

CLICKED, LIKELY = np.ones(2, np.uint8), np.exp(-np.array([0.4, 0.9]))


def test_the_cloud_models_loss_is_kept_by_its_age() -> None:
    losses = predicted().values()[Metrics.cloud_loss.name]
    assert {age: round(loss, 9) for age, loss in losses.items()} == {"age=< 1 h": 0.4, "age=1 h": 0.9}


def predicted() -> Metrics:
    """An event that a model predicted after half a minute, and one after two hours."""
    metrics, now_ms = Metrics(), 100_000_000
    until_ms = [now_ms - 30_000, now_ms - 7_200_000]
    observe_predictions(metrics, timestamps=np.array([now_ms] * 2), trained_until=until_ms, label=CLICKED, cloud=LIKELY)
    return metrics


def older_than_an_hour(metrics: Metrics) -> dict[str, int]:
    """How many of what was used, by what for."""
    return {each.use: round(each.older[3600.0] * each.count) for each in used(metrics.values()[BUCKETS])}


def test_the_age_of_a_model_is_since_it_learned_last() -> None:
    assert older_than_an_hour(predicted()) == {"model": 1}


def test_the_age_of_what_a_device_trains_on_is_by_how_far_event_time_has_come() -> None:
    phone = Phone()
    phone.tell(Connected())
    phone.live(10)
    phone.tell(BatchArrived(raw_batch("ann", 0)))
    (train,) = only(Train, phone.tell(TrainingSlot()))
    metrics = Metrics()
    assert train.batch is not None
    later = msgspec.structs.replace(train, event_time=EventMs(train.event_time + 7_200_000))
    observe_training(metrics, later, train.batch.unpacked())
    assert older_than_an_hour(metrics) == {"own": 10, "matched": 16, "random": 16}


def test_what_learned_from_later_events_is_not_older_than_nothing() -> None:
    metrics = Metrics()
    observe_predictions(
        metrics, timestamps=np.array([5]), trained_until=[9_000_000], label=CLICKED[:1], cloud=LIKELY[:1]
    )
    assert all(0 <= share <= 1 for each in used(metrics.values()[BUCKETS]) for share in each.older.values())
