"""Each device is a cell, from what it reported last."""

from structlog.testing import capture_logs

from streams.dashboard.crowd import FRESH_MS, Crowd
from tests.wire.reports import ack, training
from wire.identity import ModelId
from wire.outcome import Trainings
from wire.telemetry import Presence, Upward, encode_report

ONCE = {Trainings.ACCEPTED: 1}


def crowd(*reports: tuple[int, Upward]) -> Crowd:
    found = Crowd()
    for at_ms, report in reports:
        found.take(encode_report(report), at_ms)
    return found


def test_a_device_comes_trains_grows_stale_and_goes() -> None:
    found = crowd((1, Presence("ann", online=True)))
    assert found.cells(2) == "c"
    found.take(encode_report(training("ann", 5, 1.0, trainings=ONCE)), 10)
    assert found.cells(11) == "t" and found.cells(10 + FRESH_MS) == "s"
    found.take(encode_report(Presence("ann", online=False)), 20)
    assert found.cells(21) == "o"
    device = found.device("ann")
    assert device is not None and device.link == [(1, True), (20, False)]


def test_a_model_that_another_lineage_replaced_makes_nobody_stale() -> None:
    def of(user: str, lineage: str, version: int) -> Upward:
        return training(user, 5, 1.0, trainings=ONCE, model=ModelId(lineage * 16, version))

    found = crowd(*((1, Presence(user, online=user != "old")) for user in ("old", "ann", "bob")))
    for user, lineage, version in (("old", "a", 7), ("ann", "b", 2), ("bob", "b", 1)):
        found.take(encode_report(of(user, lineage, version)), 10)
    assert found.cells(11) == "ots", "the one has the newest model of the lineage in use, the other an older one"


def test_who_reports_without_a_training_is_not_trained_by_that() -> None:
    found = crowd((1, Presence("ann", online=True)), (2, training("ann", 5, 1.0)))
    assert found.cells(3) == "c", "its link is back, and it has not trained yet"
    found.take(encode_report(training("ann", 9, 1.0, sequence=2, trainings=ONCE)), 10)
    found.take(encode_report(training("ann", 20, 1.0, sequence=3, trainings=ONCE)), 20 + FRESH_MS)
    assert found.cells(20 + FRESH_MS) == "s", "it stands aside, and reports what its user does"


def test_who_answers_a_batch_is_there_though_nobody_said_so() -> None:
    found = crowd((5, ack("bob", 3)))
    device = found.device("bob")
    assert device is not None and (device.online, device.batch_ms, device.batch_outcome) == (True, 5, "accepted")


def test_cells_stay_in_their_order_and_what_is_no_report_is_said() -> None:
    found = crowd(*((1, Presence(user, online=user != "b")) for user in "abc"), (2, Presence("~canary/x", online=True)))
    with capture_logs() as said:
        found.take(b"hello", 3)
    assert (found.names, found.cells(4)) == (["a", "b", "c"], "coc")
    assert "passed over a message of the topic telemetry: " in said[0]["event"]
    assert found.device("nobody") is None
