"""The device as a state machine: what goes in, what comes out."""

import math
from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from device_sim.asking import FIRST_WAIT_MS
from device_sim.cloud_clock import LEAST
from device_sim.instruction import Count, Forget, Freshness, Predict, Publish, Train, WantTraining
from device_sim.outbox import PROBE_MS, RETRY_MS
from device_sim.outcome import Events, Models, Tasks, Unpredicted
from device_sim.readiness import BATCH_WAIT_MS, PATIENCE, wakes_ms
from device_sim.stimulus import (
    BatchArrived,
    Connected,
    ModelArrived,
    OwnEvent,
    ReceiptArrived,
    TaskArrived,
    Tick,
    Trained,
    TrainingSlot,
)
from device_sim.window import Window
from tests.device_sim.phone import NO_ROWS, Phone, counted, only, reports, trained_phone
from tests.device_sim.world import TASK, batch, event, raw_batch
from tests.wire.reports import ack
from wire.arrays import F16
from wire.batch import encode_batch
from wire.candidates import CandidateBatch
from wire.identity import ModelId
from wire.ids import item_key
from wire.outcome import Batches
from wire.telemetry import Ack, MatchRequest


def test_an_event_is_to_be_predicted_from_what_came_strictly_before() -> None:
    phone = Phone()
    (first,) = only(Predict, phone.tell(OwnEvent(event("ann", 0, label=1, timestamp=50), 0)))
    (same_time,) = only(Predict, phone.tell(OwnEvent(event("ann", 1, label=1, timestamp=50), 0)))
    (later,) = only(Predict, phone.tell(OwnEvent(event("ann", 2, timestamp=51), 0)))
    assert first.history_item == same_time.history_item == b""
    newest_first = [item_key(event("ann", n).item_id) for n in (1, 0)]
    assert np.frombuffer(later.history_item, np.uint32).tolist() == newest_first


def test_an_event_is_predicted_and_kept_with_what_the_service_expected_of_it() -> None:
    phone = Phone()
    known = msgspec.structs.replace(event("ann", 0), base=-1.5)
    asked = [only(Predict, phone.tell(OwnEvent(one, 0)))[0].base for one in (known, event("ann", 1))]
    kept = Window.restore(phone.device.window.state(), 8, 10**9).rows().base
    np.testing.assert_equal([asked, kept.tolist()], [[-1.5, np.nan]] * 2)


def test_an_event_comes_with_how_often_and_how_long_ago_its_item_was_taken() -> None:
    phone = Phone()
    every_40th = [(0, 1, 5_000), (40, 1, 5_000), (80, 0, 15_000), (120, 1, 35_000)]  # number, label, timestamp
    same_item = [event("ann", n, label=label, timestamp=at) for n, label, at in every_40th]
    asked = [only(Predict, phone.tell(OwnEvent(one, 0)))[0] for one in (*same_item, event("ann", 1, timestamp=40_000))]
    assert [(p.times, p.since_s) for p in asked] == [(0, 0), (0, 0), (2, 10), (2, 30), (0, 0)]
    assert phone.device.window.rows().times.tolist() == [0, 0, 2, 2, 0]


def test_a_repeated_event_counts_once() -> None:
    phone = Phone()
    phone.live(3)
    assert phone.tell(OwnEvent(event("ann", 1), 0)) == [Count(Events.DUPLICATE)]
    assert len(phone.device.window) == 3


def test_without_a_model_nothing_is_predicted_and_that_is_counted() -> None:
    phone = Phone(version=0)
    assert phone.tell(OwnEvent(event("ann", 0), 0)) == [Count(Unpredicted.NO_CLOUD_MODEL)]
    assert len(phone.device.window) == 1


def test_what_the_cloud_model_has_learned_from_is_not_predicted() -> None:
    phone = Phone(version=0)
    phone.now_ms = event("ann", 4).timestamp
    phone.tell(ModelArrived(ModelId("", 1), event("ann", 4).timestamp, 1000))
    outcomes = [phone.tell(OwnEvent(event("ann", n), 0)) for n in range(6)]
    assert [bool(only(Predict, out)) for out in outcomes] == [False] * 5 + [True]
    assert counted(outcomes[0]) == [("unpredicted", "known_to_cloud_model")]


def test_a_model_that_says_to_have_learned_from_tomorrow_stops_no_prediction() -> None:
    phone = Phone(version=0)
    phone.now_ms = event("ann", 4).timestamp
    phone.tell(ModelArrived(ModelId("", 1), phone.now_ms + 86_400_000, 1000))
    assert all(only(Predict, phone.tell(OwnEvent(event("ann", n), 0))) for n in range(6))


def served(phone: Phone, minutes: int, cloud_ms: Callable[[int], int]) -> int:
    """Live so long, events and ticks each second; the cloud answers each request at once; how many there were."""
    asked = 0
    for second in range(60 * minutes):
        phone.now_ms += 1_000
        out = phone.live(1) if second % 60 == 0 else []
        for request in reports([*out, *phone.tell(Tick())]):
            if isinstance(request, MatchRequest):
                asked += 1
                answer = replace(batch("ann", phone.device.newest_seq + 1), matched_ms=cloud_ms(phone.now_ms))
                phone.tell(BatchArrived(encode_batch(answer)))
    return asked


@pytest.mark.parametrize("off_ms", [-86_400_000, -660_000, 0, 660_000, 86_400_000])
def test_a_device_whose_clock_is_wrong_asks_no_more_often_than_others(off_ms: int) -> None:
    phone = trained_phone()
    phone.now_ms += 10**9
    assert served(phone, 60, lambda now_ms: now_ms - off_ms) == 6


def test_a_clock_that_is_set_while_it_runs_makes_no_flood_of_requests() -> None:
    phone = trained_phone()
    phone.now_ms += 10**9
    off_ms, asked = 0, 0
    for step_ms in (0, 11 * 60_000, -86_400_000, 0, 86_400_000, 0):
        phone.now_ms += step_ms
        off_ms += step_ms
        asked += served(phone, 30, lambda now_ms, off_ms=off_ms: now_ms - off_ms)  # type: ignore[misc]
    assert 12 <= asked <= 18 + 2 * LEAST


def test_a_clock_that_stands_still_asks_nothing_and_still_learns() -> None:
    phone = trained_phone()
    for _n in range(100):
        out = [*phone.live(1), *phone.tell(Tick())]
        assert not [report for report in reports(out) if isinstance(report, MatchRequest)]
    assert only(Train, phone.tell(TrainingSlot()))


def test_too_few_samples_leave_it_to_the_cloud_and_one_label_is_enough() -> None:
    phone = Phone(task=msgspec.structs.replace(TASK, min_samples=6, retrain_every=1))
    assert not only(WantTraining, phone.live(5))
    assert only(WantTraining, phone.live(1))
    monotonous = Phone(task=msgspec.structs.replace(TASK, min_samples=2, retrain_every=1))
    out = [i for n in range(2) for i in monotonous.tell(OwnEvent(event("ann", n, label=0), 0))]
    assert only(WantTraining, [*out, *monotonous.tell(Tick())])


@pytest.mark.parametrize("arm", ["random", "coarse", "mpda", "coda"])
def test_online_any_arm_with_outside_samples_is_worth_waiting_for_a_batch(arm: str) -> None:
    waits = [("cloud", "local"), ("cloud", "local", arm)]
    phones = [Phone(task=msgspec.structs.replace(TASK, arms=arms, min_samples=1)) for arms in waits]
    for phone in phones:
        phone.tell(Connected())
    assert [bool(only(WantTraining, phone.live(TASK.retrain_every))) for phone in phones] == [True, False]


def test_offline_it_trains_on_enough_new_samples_and_asks_once() -> None:
    phone = Phone()
    assert len(only(WantTraining, phone.live(20))) == 1
    out = phone.train()
    assert ("trainings", "accepted") in counted(out)
    assert not only(WantTraining, phone.live(TASK.retrain_every - 1))
    assert only(WantTraining, phone.live(1))


def test_online_it_waits_a_while_for_the_batch_that_its_samples_bring() -> None:
    phone = Phone()
    phone.tell(Connected())
    phone.live(PATIENCE * TASK.retrain_every)
    phone.train()
    assert not only(WantTraining, phone.live(TASK.retrain_every))
    assert only(WantTraining, phone.tell(BatchArrived(raw_batch("ann", 0))))
    (train,) = only(Train, phone.tell(TrainingSlot()))
    assert train.batch is not None
    assert train.batch.batch_seq == 0


def test_a_batch_is_acknowledged_used_and_its_freshness_told() -> None:
    phone = Phone()
    phone.tell(Connected())
    phone.live(10)
    out = phone.tell(BatchArrived(raw_batch("ann", 3)))
    assert reports(out) == [ack("ann", 3, received_ms=phone.now_ms)]
    assert only(Freshness, out) == [Freshness("pushed", 5_000)]
    assert only(Freshness, phone.train()) == [Freshness("trained", 5_000)]
    phone.live(20)
    assert only(Freshness, phone.train()) == []  # the same batch again is not news


def test_older_batches_lose_and_the_same_one_is_acknowledged_again() -> None:
    phone = Phone()
    phone.tell(BatchArrived(raw_batch("ann", 3)))
    assert phone.tell(BatchArrived(raw_batch("ann", 2))) == [Count(Batches.STALE)]
    again = phone.tell(BatchArrived(raw_batch("ann", 3)))
    assert counted(again) == [("batches", "repeated")]
    seen = {"accepted": 1, "stale": 1, "repeated": 1}
    assert reports(again) == [ack("ann", 3, received_ms=phone.now_ms, sequence=2, batches=seen)]
    assert phone.device.batch is not None
    assert phone.device.batch.batch_seq == 3


def test_a_batch_of_another_version_is_dropped_and_another_asked_for() -> None:
    phone = Phone()
    phone.tell(Connected())
    phone.live(10)
    phone.now_ms += FIRST_WAIT_MS
    out = phone.tell(BatchArrived(raw_batch("ann", 3, version=2)))
    assert counted(out) == [("batches", "wrong_model")]
    answer, request = reports(out)
    assert answer == ack("ann", 3, "wrong_model", model=ModelId("", 2), received_ms=phone.now_ms)
    assert isinstance(request, MatchRequest)
    assert phone.device.batch is None


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x93abc", encode_batch(batch("bob", 0)), raw_batch("ann", 0)[:-7]],
    ids=["empty", "garbage", "for someone else", "cut"],
)
def test_a_batch_that_makes_no_sense_is_dropped_and_said_so(raw: bytes) -> None:
    phone = Phone()
    out = phone.tell(BatchArrived(raw))
    assert counted(out) == [("batches", "malformed")]
    (ack,) = reports(out)
    assert isinstance(ack, Ack)
    assert ack.outcome == "malformed"
    assert phone.device.batch is None


NUMBERS: dict[str, Callable[[CandidateBatch], F16]] = {
    "matched logit": lambda b: b.matched.logit,
    "similarity": lambda b: b.similarity,
    "random logit": lambda b: b.random.logit,
}


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", NUMBERS)
def test_a_batch_with_a_number_that_is_not_finite_is_malformed(where: str, number: float) -> None:
    bad = batch("ann", 0)
    NUMBERS[where](bad)[3] = number
    assert counted(Phone().tell(BatchArrived(encode_batch(bad)))) == [("batches", "malformed")]


OLD, NEW = "00000000000000aa", "00000000000000bb"


def test_when_no_batch_comes_after_a_new_model_it_trains_without() -> None:
    phone = Phone()
    phone.tell(Connected())
    phone.live(PATIENCE * TASK.retrain_every)
    phone.train()
    assert not only(WantTraining, phone.tell(ModelArrived(ModelId("", 2), 0, 1000)))
    phone.now_ms += BATCH_WAIT_MS
    assert only(WantTraining, phone.tell(Tick()))
    (train,) = only(Train, phone.tell(TrainingSlot()))
    assert (train.model.version, train.batch) == (2, None)


def test_a_training_that_a_new_model_overtook_is_dropped_and_due_again() -> None:
    phone = Phone()
    phone.live(10)
    assert only(Train, phone.tell(TrainingSlot()))
    phone.tell(ModelArrived(ModelId("", 2), 0, 1000))
    out = phone.tell(Trained(ModelId("", 1), {"local": True}, 1.0, 9000, **NO_ROWS))
    assert counted(out) == [("trainings", "outdated")]
    assert only(WantTraining, out)
    assert phone.device.heads_bytes == 0


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        (ModelId(OLD, 3, NEW), Models.OTHER_DIGEST),
        (ModelId(NEW, 9), Models.OTHER_LINEAGE),
        (ModelId(OLD, 2), Models.OLDER_VERSION),
    ],
)
def test_a_model_that_may_not_follow_is_refused(offered: ModelId, said: Models) -> None:
    phone = Phone(version=0)
    phone.tell(ModelArrived(ModelId(OLD, 3), 0, 1000))
    assert phone.tell(ModelArrived(offered, 0, 1000, (OLD[::-1],))) == [Count(said)]
    assert phone.device.model == ModelId(OLD, 3)


def test_another_lineage_that_takes_the_place_of_the_devices_ends_what_the_old_one_made() -> None:
    """Both are number 1: batches, vectors and a training of the old one are of no use any more, nor is its task."""
    phone = Phone(version=0, task=None)
    phone.tell(ModelArrived(ModelId(OLD, 1), 0, 1000))
    tasks = {line: msgspec.structs.replace(TASK, task_version=2, lineage=line) for line in (OLD, NEW)}
    phone.tell(TaskArrived(msgspec.structs.replace(TASK, lineage=OLD), 100))
    phone.live(10)
    (train,) = only(Train, phone.tell(TrainingSlot()))
    out = phone.tell(ModelArrived(ModelId(NEW, 1), 0, 1000, (OLD,)))
    assert ("models", "adopted") in counted(out) and ("tasks", "outdated") in counted(out) and only(Forget, out)
    assert phone.tell(TaskArrived(tasks[OLD], 100)) == [Count(Tasks.OTHER_LINEAGE)]
    phone.tell(TaskArrived(tasks[NEW], 100))
    out = phone.tell(Trained(train.model, {"local": True}, 1.0, 9000, **NO_ROWS))
    assert counted(out) == [("trainings", "outdated")]
    assert np.isnan(phone.device.window.rows().logit).all()
    stranger = encode_batch(replace(batch("ann", 5), model=ModelId(OLD, 1)))
    assert counted(phone.tell(BatchArrived(stranger))) == [("batches", "wrong_model")]


def test_an_older_or_the_same_model_changes_nothing() -> None:
    phone = Phone(version=2)
    for version, said in ((1, Models.OLDER_VERSION), (2, Models.REPEATED)):
        assert phone.tell(ModelArrived(ModelId("", version), 0, 1000)) == [Count(said)]
    assert phone.device.version == 2


def test_the_newest_task_wins_and_unknown_code_is_refused() -> None:
    phone = Phone()
    replace = msgspec.structs.replace
    assert counted(phone.tell(TaskArrived(replace(TASK, task_version=3, window_count=5), 1))) == [("tasks", "adopted")]
    assert counted(phone.tell(TaskArrived(replace(TASK, task_version=2), 1))) == [("tasks", "repeated")]
    refused = phone.tell(TaskArrived(replace(TASK, task_version=4, code_version="99"), 1))
    assert counted(refused) == [("tasks", "refused_code_version")]
    assert phone.device.task is not None
    assert phone.device.task.task_version == 3
    phone.live(9)
    assert len(phone.device.window) == 5


def test_an_old_batch_is_asked_to_be_renewed_when_there_is_news() -> None:
    phone = trained_phone()
    phone.now_ms += TASK.candidate_age_ms + 10**6
    assert reports(phone.tell(Tick())) == []  # idle: it can wait
    phone.live(1)
    assert phone.device.batch is not None
    assert reports(phone.tell(Tick())) == [MatchRequest("ann", "expired", phone.device.batch.batch_seq)]


def test_an_idle_device_has_its_batch_renewed_too_but_seldom() -> None:
    phone = trained_phone()
    assert phone.device.batch is not None
    due_ms = phone.device.batch_since_ms + TASK.idle_age_ms
    assert wakes_ms(phone.device) == due_ms + 1
    phone.now_ms = due_ms
    assert reports(phone.tell(Tick())) == []
    phone.now_ms += 1
    (request,) = reports(phone.tell(Tick()))
    assert isinstance(request, MatchRequest)
    assert request.reason == "expired"


def test_what_is_too_small_to_train_does_not_ask() -> None:
    phone = Phone()
    phone.tell(Connected())
    phone.live(2)
    phone.now_ms += 10**6
    assert reports(phone.tell(Tick())) == []


def test_a_device_that_waits_for_a_receipt_is_left_alone_until_it_would_send_again() -> None:
    phone = Phone(uploads=True)
    phone.live(1)
    assert wakes_ms(phone.device) == math.inf, "without a link"
    phone.tell(Connected())
    assert wakes_ms(phone.device) == phone.now_ms + PROBE_MS
    phone.now_ms += PROBE_MS - 1
    assert only(Publish, phone.tell(Tick())) == []
    phone.now_ms += 1
    assert len(only(Publish, phone.tell(Tick()))) == 1
    phone.live(1)
    phone.tell(ReceiptArrived(("ann-0",), 10))
    assert wakes_ms(phone.device) == phone.now_ms + RETRY_MS
    phone.tell(ReceiptArrived(("ann-1",), 10))
    assert wakes_ms(phone.device) == math.inf


def test_a_device_holds_its_batch_as_it_came() -> None:
    """Unpacked it would take three times as much."""
    phone = Phone()
    raw = raw_batch("ann", 0)
    phone.tell(BatchArrived(raw))
    assert phone.device.batch_at_rest == raw
    held = phone.device.batch
    assert held is not None and len(held.columns) < len(raw)
