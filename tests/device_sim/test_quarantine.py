"""What fails for one device costs the others nothing."""

from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from device_sim.parameter_store import Rows
from device_sim.quarantine import FleetFailed
from device_sim.training import TrainingJob
from tests.device_sim.world import USERS, cloud_model, cpu_s, fleet, mixed, own, raw_batch


class Odd:
    """A device that fails of whatever it is told."""

    def handle(self, *_: object) -> list[Any]:
        raise KeyError("what nobody thought of")


def test_a_device_that_fails_is_let_go_and_the_others_do_not_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    made, alike = fleet(20), fleet(20)
    for each in (made, alike):
        each.handle_events(mixed(0, 12), 0)
        each.take_predictions()
        each.take_outgoing()
    job = made.begin_training(0)
    assert job is not None and "u1" in job.users
    monkeypatch.setattr(made.devices["u1"], "handle", Odd().handle)
    with capture_logs() as lines:
        made.handle_events(mixed(12, 1), 0)
    made.finish_training(job.attempt(cpu_s), 0)  # u1's among them
    alike.handle_events([e for e in mixed(12, 1) if e.event.user_id != "u1"], 0)
    np.testing.assert_array_equal(made.take_predictions()[-1].arms, alike.take_predictions()[-1].arms)
    assert made.take_gone() == ["u1"] and made.take_gone() == []
    assert made.counts["devices", "quarantined"] == 1 and "what nobody thought of" in str(lines)
    made.connected("u1", 0)
    made.deliver_batch("u1", raw_batch("u1", 9), 0)
    made.deliver_model(cloud_model(2), 9, 0)
    made.handle_events(mixed(13, 1), 0)
    assert "u1" not in made.devices and "u1" not in {user for user, _ in made.take_outgoing()}


def test_rows_that_cannot_be_predicted_cost_their_own_device_only(monkeypatch: pytest.MonkeyPatch) -> None:
    made = fleet(20)
    odd, predict = made.slots["u1"], made.store.predict

    def picky(rows: Rows) -> Any:
        if odd in rows.slot:
            raise ValueError("shapes do not match")
        return predict(rows)

    monkeypatch.setattr(made.store, "predict", picky)
    made.handle_events(mixed(0, 2), 0)
    assert {user for block in made.take_predictions() for user in block.user_id} == {"u0", "u2"}
    assert made.take_gone() == ["u1"]


def test_when_many_devices_fail_the_code_is_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    made = fleet(20)

    def broken(_: Rows) -> Any:
        raise ValueError("shapes do not match")

    monkeypatch.setattr(made.store, "predict", broken)
    with pytest.raises(FleetFailed, match=r"of .* devices failed, the last one with ValueError: shapes"):
        made.handle_events([e for user in range(20) for e in own(f"u{user}", 0, 1)], 0)


def test_a_training_that_fails_costs_its_own_device_its_batch_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    made, alike = fleet(USERS), fleet(USERS)
    for each in (made, alike):
        each.handle_events(mixed(0, 12), 0)
        for user in range(USERS):
            each.deliver_batch(f"u{user}", raw_batch(f"u{user}", 7), 0)
    run = TrainingJob.run

    def poisoned(job: TrainingJob, clock: Any) -> Any:
        if "u1" in job.users:
            raise ValueError("singular matrix")
        return run(job, clock)

    alike.train_due(0, cpu_s)
    monkeypatch.setattr(TrainingJob, "run", poisoned)
    assert made.train_due(0, cpu_s) == USERS
    assert made.counts["trainings", "failed"] == 1 and made.counts["batches", "untrainable"] == 1
    assert made.device("u1").batch is None and not made.device("u1").busy
    made.deliver_batch("u1", raw_batch("u1", 7), 0)  # the broker retains it
    assert made.device("u1").batch is None and made.counts["batches", "stale"] == 1
    for user_id in ("u0", "u2"):
        assert made.device(user_id).trained_seq == alike.device(user_id).trained_seq == 7
        assert made.device(user_id).heads_bytes == alike.device(user_id).heads_bytes
    made.deliver_batch("u1", raw_batch("u1", 9), 0)
    monkeypatch.undo()
    assert made.train_due(0, cpu_s) == 1 and made.device("u1").trained_seq == 9
