"""When devices ask for a batch by the model that they will use next, and when they take it up."""

from collections import Counter

import pytest

from device_sim.asking import FIRST_WAIT_MS
from device_sim.instruction import Count, Forget, Train, WantTraining
from device_sim.outcome import Models
from device_sim.readiness import PATIENCE, wakes_ms
from device_sim.stimulus import BatchArrived, Connected, LinkLost, ModelArrived, Tick, Trained, TrainingSlot
from device_sim.upcoming import ASK_MS, LONGEST_MS, asks_after_ms
from tests.device_sim.phone import NO_ROWS, Phone, counted, only, reports, trained_phone
from tests.device_sim.world import TASK, raw_batch
from wire.identity import ModelId
from wire.telemetry import MatchRequest


def test_devices_ask_one_after_the_other() -> None:
    times = [asks_after_ms(f"user-{n}") for n in range(500)]
    assert max(times) < LONGEST_MS
    each_second = Counter(ms // 1000 for ms in times)
    assert max(each_second.values()) < 3 * min(each_second.values())


NEW = "00000000000000bb"
NEXT = ModelArrived(ModelId("", 2), 0, 1000)


def test_a_new_model_is_taken_up_with_the_first_batch_by_it() -> None:
    phone = trained_phone()
    phone.live(1)
    assert phone.tell(NEXT) == [] and phone.device.version == 1
    phone.now_ms += ASK_MS[1]
    (asks,) = reports(phone.tell(Tick()))
    assert isinstance(asks, MatchRequest) and asks.reason == "wrong_model"
    out = phone.tell(BatchArrived(raw_batch("ann", 1, version=2)))
    assert counted(out) == [("batches", "accepted"), ("models", "adopted"), ("batches", "outdated")]
    assert [type(each) for each in out if isinstance(each, Forget | WantTraining)] == [Forget, WantTraining]
    assert phone.device.heads_bytes == 0
    (train,) = only(Train, phone.tell(TrainingSlot()))
    assert train.batch is not None and (train.model.version, train.batch.model.version) == (2, 2)
    assert phone.tell(NEXT) == [Count(Models.REPEATED)]


def test_until_then_it_predicts_and_trains_with_what_it_has() -> None:
    phone = trained_phone()
    phone.tell(NEXT)
    phone.live(PATIENCE * TASK.retrain_every)
    assert counted(phone.tell(BatchArrived(raw_batch("ann", 1)))) == [("batches", "accepted")]
    (train,) = only(Train, phone.tell(TrainingSlot()))
    assert train.batch is not None and (train.model.version, train.batch.batch_seq) == (1, 1)
    assert ("trainings", "accepted") in counted(
        phone.tell(Trained(train.model, {"local": True}, 1.0, heads_bytes=9000, **NO_ROWS))
    )
    phone.now_ms += FIRST_WAIT_MS
    assert not reports(phone.tell(Tick())), "its batch is new, and the cloud may be busy with its pool"
    phone.now_ms += asks_after_ms("ann")
    assert [type(r) for r in reports(phone.tell(Tick()))] == [MatchRequest], "it still wants one by the new model"


def test_without_a_batch_by_it_a_new_model_is_taken_up_after_a_while() -> None:
    phone = trained_phone()
    phone.tell(NEXT)
    phone.now_ms += LONGEST_MS // 2
    phone.tell(ModelArrived(ModelId("", 3), 0, 1000))  # does not make it wait longer
    phone.now_ms += LONGEST_MS // 2 - 1
    assert ("models", "adopted") not in counted(phone.tell(Tick())) and wakes_ms(phone.device) == phone.now_ms + 1
    phone.now_ms += 1
    assert ("models", "adopted") in counted(phone.tell(Tick()))
    assert phone.device.version == 3 and phone.device.batch is None
    assert counted(phone.tell(BatchArrived(raw_batch("ann", 1, version=3)))) == [("batches", "accepted")]


def test_the_same_number_again_by_the_new_model_is_another_batch() -> None:
    phone = trained_phone()
    phone.tell(NEXT)
    assert ("batches", "accepted") in counted(phone.tell(BatchArrived(raw_batch("ann", 0, version=2))))
    assert counted(phone.tell(BatchArrived(raw_batch("ann", 0, version=2)))) == [("batches", "repeated")]


def test_a_batch_of_another_user_or_an_older_one_takes_no_model_up() -> None:
    phone = trained_phone()
    phone.tell(BatchArrived(raw_batch("ann", 5)))
    phone.tell(NEXT)
    for raw, said in ((raw_batch("bob", 9, version=2), "malformed"), (raw_batch("ann", 4, version=2), "stale")):
        assert counted(phone.tell(BatchArrived(raw))) == [("batches", said)] and phone.device.version == 1
    assert counted(phone.tell(BatchArrived(raw_batch("ann", 6, version=3)))) == [("batches", "wrong_model")]


@pytest.mark.parametrize("why", ["no batch", "not connected", "another lineage"])
def test_who_has_nothing_to_go_on_with_takes_a_new_model_up_at_once(why: str) -> None:
    phone = Phone() if why == "no batch" else trained_phone()
    if why == "not connected":
        phone.tell(LinkLost())
    model = ModelId(NEW, 1) if why == "another lineage" else ModelId("", 2)
    out = phone.tell(ModelArrived(model, 0, 1000, ("",)))
    assert ("models", "adopted") in counted(out) and phone.device.model == model and phone.device.batch is None


def test_whoever_loses_its_link_is_told_anew() -> None:
    phone = trained_phone()
    phone.tell(NEXT)
    phone.tell(LinkLost())
    phone.now_ms += LONGEST_MS
    phone.tell(Tick())
    assert phone.device.newest_model.version == 1
    phone.tell(Connected())
    phone.tell(NEXT)
    assert phone.device.version == 1 and phone.device.newest_model.version == 2
