"""What devices report: sums since their lives began, each report numbered."""

import numpy as np

from device_sim.instruction import Instruction, Publish
from device_sim.outbox import RETRY_MS
from device_sim.readiness import PATIENCE
from device_sim.report import answer, standing
from device_sim.stimulus import (
    BatchArrived,
    Connected,
    LinkLost,
    ReceiptArrived,
    Tick,
    Unheard,
)
from device_sim.usage import Usage
from models.blend import HEADS
from models.evidence import EVIDENCE, INTERVAL, unpack, within
from tests.device_sim.phone import Phone, counted, only, reports
from tests.device_sim.world import TASK, raw_batch
from wire.event import decode_event
from wire.identity import ModelId
from wire.moments import WallMs
from wire.outcome import Batches, Trainings
from wire.telemetry import Training

MODEL = ModelId("line", 3)


def test_the_newest_report_says_all_that_older_ones_did() -> None:
    usage = Usage(boot=7, sequence=40)
    usage.answered(Batches.ACCEPTED, 1)
    first = answer("ann", usage, seq=1, model=MODEL, outcome=Batches.ACCEPTED, now_ms=WallMs(5))
    usage.answered(Batches.WRONG_MODEL, 2)
    usage.trained(Trainings.ACCEPTED, 1.5)
    last = standing("ann", usage, model=MODEL, trained_seq=1, bytes_stored=9, now_ms=WallMs(6))
    assert (first.boot, first.sequence, last.sequence) == (7, 41, 42)
    assert (last.answered_seq, last.batches) == (2, {Batches.ACCEPTED: 1, Batches.WRONG_MODEL: 1})
    assert (first.batches, last.trainings) == ({Batches.ACCEPTED: 1}, {Trainings.ACCEPTED: 1})


def sent(instructions: list[Instruction]) -> list[str]:
    """The events that go up."""
    return [decode_event(p.payload).event_id for p in only(Publish, instructions) if p.leaf == "events"]


def test_events_go_up_until_the_receipt_comes() -> None:
    phone = Phone(uploads=True)
    assert not only(Publish, phone.live(2))  # offline
    assert sent(phone.tell(Connected())) == ["ann-0"], "one, to see that somebody listens"
    assert sent(phone.tell(ReceiptArrived(("ann-0",), 10))) == ["ann-1"]
    assert not sent(phone.live(1)), "what went before it may be lost"
    assert not only(Publish, phone.tell(Tick()))
    phone.now_ms += RETRY_MS
    assert sent(phone.tell(Tick())) == ["ann-1"]
    assert sent(phone.tell(ReceiptArrived(("ann-1",), 10))) == ["ann-2"]
    phone.tell(LinkLost())
    assert sent(phone.tell(Connected())) == ["ann-2"]


def test_an_event_that_nobody_listened_to_goes_up_again() -> None:
    phone = Phone(uploads=True)
    phone.tell(Connected())
    assert sent(phone.live(1)) == ["ann-0"]
    phone.tell(ReceiptArrived(("ann-0",), 10))
    assert sent(phone.live(1)) == sent(phone.tell(Unheard())) == ["ann-1"]


def test_a_training_report_sums_up_all_of_a_life() -> None:
    phone = Phone()
    phone.live(10)
    assert reports(phone.train()) == []  # offline: nobody to tell
    phone.tell(Connected())
    phone.live(PATIENCE * TASK.retrain_every)
    (report,) = reports(phone.train({"local": True, "coda": False}))
    assert isinstance(report, Training)
    assert report.events == 10 + PATIENCE * TASK.retrain_every
    assert report.head_log_loss == dict.fromkeys(HEADS, report.events / 2)
    assert (report.trainings, report.passed, report.compute_ms) == ({"accepted": 2}, {"local": 2, "coda": 0}, 3.0)
    assert report.bytes_down == 1100
    assert report.bytes_stored > 1000 + 9000
    phone.live(PATIENCE * TASK.retrain_every)
    (again,) = reports(phone.train({"local": False}))
    assert isinstance(again, Training)
    assert (again.events, again.bytes_down) == (10 + 2 * PATIENCE * TASK.retrain_every, 1100)
    assert again.trainings == {"accepted": 2, "rolled_back": 1}
    assert again.bytes_up > report.bytes_up and again.sequence > report.sequence


def test_what_events_teach_is_compared_within_an_interval_however_often_the_device_trains() -> None:
    phone = Phone()
    phone.tell(Connected())
    for _ in range(2):
        phone.live(7 * INTERVAL // 2)
        (report,) = reports(phone.train())
    assert isinstance(report, Training)
    one, summed = within(np.full(EVIDENCE, INTERVAL * 0.25)), unpack(report.evidence)
    assert summed is not None
    np.testing.assert_allclose(summed, 7 * one)


def test_when_the_link_is_back_the_device_says_once_what_may_be_lost() -> None:
    phone = Phone()
    assert reports(phone.tell(Connected())) == []  # nothing happened so far
    phone.live(10)
    phone.tell(BatchArrived(raw_batch("ann", 3)))
    phone.train()
    phone.tell(LinkLost())
    (report,) = reports(phone.tell(Connected()))
    assert isinstance(report, Training)
    assert (report.answered_seq, report.trained_seq, report.batches) == (3, 3, {"accepted": 1})
    assert report.events == 10 and report.trainings == {"accepted": 1}


def test_heads_that_failed_the_test_are_counted() -> None:
    phone = Phone()
    phone.live(10)
    out = phone.train({"local": False, "coda": False})
    assert counted(out) == [("trainings", "rolled_back"), ("heads", "rolled_back"), ("heads", "rolled_back")]
