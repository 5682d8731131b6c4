"""Many devices together: order, versions, and what goes out."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from device_sim.fleet import Fleet
from device_sim.readiness import BATCH_WAIT_MS
from device_sim.stimulus import OwnEvent, Tick
from device_sim.upcoming import LONGEST_MS
from monitor.metrics import Metrics
from tests.device_sim.world import TASK, USERS, cloud_model, cpu_s, event, fleet, mixed, own, raw_batch, resumed
from wire.arrays import F64
from wire.event import decode_event
from wire.telemetry import Receipt, encode_report


def live(made: Fleet, rounds: Iterable[int], per_round: int = 3) -> F64:
    """Rounds of events, a batch now and then, trainings; returns what every arm predicted."""
    for n in rounds:
        made.handle_events(mixed(n * per_round, per_round), n)
        for user in range(USERS):
            if n % 4 == 2:
                made.deliver_batch(f"u{user}", raw_batch(f"u{user}", n, version=made.device(f"u{user}").version), n)
        made.train_due(n, cpu_s)
    taken = made.take_predictions()
    return np.concatenate([block.arms for block in taken]) if taken else np.zeros((0, 5))


def test_arms_start_alike_and_part_with_training() -> None:
    made = fleet(USERS)
    early, late = live(made, range(2)), live(made, range(2, 12))
    assert np.ptp(early[:, 1:], axis=1).max() < 1e-6
    assert np.ptp(early, axis=1).max() < 0.02, "before any training only the user's bias tells arms from the cloud"
    assert np.ptp(late[-20:], axis=1).max() > 1e-4
    assert made.counts["trainings", "accepted"] + made.counts["trainings", "rolled_back"] > USERS


def test_the_same_calls_give_the_same_predictions() -> None:
    first, second = (live(fleet(USERS), range(8)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_nothing_about_an_event_is_known_when_it_is_predicted() -> None:
    """The last event's label differs: no prediction up to and including it may."""
    plain, other = fleet(1), fleet(1)
    events = own("u0", 0, 20)
    told = [*events[:19], OwnEvent(event("u0", 19, label=1 - events[19].event.label), 0)]
    plain.handle_events(events, 0)
    other.handle_events(told, 0)
    np.testing.assert_array_equal(plain.take_predictions()[0].arms, other.take_predictions()[0].arms)


def test_trainings_come_in_groups_of_those_who_asked_first() -> None:
    made = fleet(USERS)
    made.handle_events(mixed(0, 12), 0)
    assert list(made.due) == ["u0", "u1", "u2"]
    job = made.begin_training(0, limit=2)
    assert job is not None
    assert job.users == ("u0", "u1")
    made.handle_events(mixed(12, 12), 0)  # predictions go on meanwhile
    assert list(made.due) == ["u2"]
    made.finish_training(job.attempt(cpu_s), 0)
    assert list(made.due) == ["u2", "u0", "u1"]


def test_a_training_on_an_outdated_model_changes_nothing() -> None:
    made = fleet(1)
    made.handle_events(own("u0", 0, 12), 0)
    job = made.begin_training(0)
    assert job is not None
    made.deliver_model(cloud_model(2), 1000, 0)
    made.finish_training(job.attempt(cpu_s), 0)
    assert made.counts["trainings", "outdated"] == 1
    assert not any(map(len, made.store.heads))
    made.tick(BATCH_WAIT_MS)
    assert list(made.due) == ["u0"]


def test_who_uses_a_device_is_served_before_who_does_not() -> None:
    made = fleet(USERS)
    made.handle_events(mixed(0, 12), 0)
    made.train_due(0, cpu_s)
    for user in range(USERS):
        made.deliver_batch(f"u{user}", raw_batch(f"u{user}", 0), 0)
    made.handle_events(own("u2", 12, 1), 0)
    job = made.begin_training(0, limit=2)
    assert job is not None
    assert job.users == ("u2", "u0")


@pytest.mark.parametrize("uploads", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_tick_leaves_out_only_devices_for_which_it_changes_nothing(seed: int, uploads: bool) -> None:
    """The same life twice: in the second every device is told of every tick."""
    lives = [fleet(USERS, task=msgspec.structs.replace(TASK, candidate_age_ms=20_000), uploads=uploads) for _ in "ab"]
    rng, now_ms, version = np.random.default_rng(seed), 0, 1
    for n in range(150):
        now_ms += int(rng.integers(0, 12_000))
        user, what = f"u{rng.integers(USERS)}", rng.integers(13)
        version += int(what == 0)
        for made in lives:
            if what == 0:
                made.deliver_model(cloud_model(version), 1000, now_ms)
            elif what == 1:
                made.link_lost(user, now_ms)
            elif what == 2:
                made.connected(user, now_ms)
            elif what < 5:
                device = made.device(user)
                by = device.version if what == 3 else device.newest_model.version
                made.deliver_batch(user, raw_batch(user, now_ms, version=by), now_ms)
            elif what < 6:
                made.train_due(now_ms, cpu_s)
            elif what < 7 and (oldest := list(made.device(user).outbox.state())[:1]):
                made.deliver_receipt(user, encode_report(Receipt(tuple(oldest))), now_ms)
            else:
                made.handle_events(own(user, n, 1), now_ms)
        lives[0].tick(now_ms)
        for each in lives[1].devices:
            lives[1]._tell(each, Tick(), now_ms)
        assert lives[0].take_outgoing() == lives[1].take_outgoing()
        assert list(lives[0].due) == list(lives[1].due)
    assert lives[0].counts == lives[1].counts
    assert lives[0].counts["models", "adopted"] > 0 and lives[0].counts["batches", "accepted"] > 0


def test_a_device_that_is_offline_keeps_its_model_until_it_is_back() -> None:
    made = fleet(2)
    made.link_lost("u0", 0)
    made.deliver_model(cloud_model(2), 1000, 0)
    made.deliver_task(msgspec.structs.replace(TASK, task_version=2), 100, 0)
    made.handle_events([*own("u0", 0, 1), *own("u1", 0, 1)], 0)
    assert made.take_predictions()[0].version.tolist() == [1, 2]
    made.tick(0)
    assert {model.version for model in made.store.models.values()} == {1, 2}
    made.connected("u0", 0)
    made.handle_events([*own("u0", 1, 1), *own("u1", 1, 1)], 0)
    assert made.take_predictions()[0].version.tolist() == [2, 2]
    made.tick(0)
    assert {model.version for model in made.store.models.values()} == {2}
    assert {device.task.task_version for device in made.devices.values() if device.task} == {2}


def test_the_model_before_is_kept_while_a_device_uses_it_and_no_longer() -> None:
    made = fleet(3)
    for user in ("u0", "u1"):
        made.deliver_batch(user, raw_batch(user, 0), 0)
    made.deliver_model(cloud_model(2), 1000, 0)

    def versions(now_ms: int) -> tuple[set[int], list[int]]:
        made.tick(now_ms)
        return {each.version for each in made.store.models.values()}, [d.version for d in made.devices.values()]

    assert versions(1) == ({1, 2}, [1, 1, 2])
    made.deliver_batch("u0", raw_batch("u0", 1, version=2), 2)
    assert versions(2) == ({1, 2}, [2, 1, 2])
    made.handle_events(mixed(0, 2), 3)
    assert made.take_predictions()[0].version.tolist() == [2, 1, 2, 2, 1, 2]
    assert versions(LONGEST_MS) == ({2}, [2, 2, 2])


def test_what_the_task_of_another_lineage_said_is_no_more_predicted_by(tmp_path: Path) -> None:
    """Neither by the fleet that dropped it nor by the one that rested meanwhile."""
    old, new = (replace(cloud_model(1), lineage=line) for line in ("00000000000000aa", "00000000000000bb"))
    said = {"repeats": {"taken": 2.0}, "head_prior": {"cloud": -8.0}, "blend_discount": 0.9}
    tasked, untasked = Fleet(Metrics(), seed=3), Fleet(Metrics(), seed=3)
    for made in (tasked, untasked):
        made.deliver_model(old, 1000, 0)
    tasked.deliver_task(msgspec.structs.replace(TASK, lineage=old.lineage, **said), 100, 0)
    for made in (tasked, untasked):
        made.connected("u0", 0)
        made.handle_events(own("u0", 0, 1), 0)
        made.deliver_model(replace(new, replaces=(old.lineage,)), 1000, 0)
        made.take_predictions()
    assert tasked.devices["u0"].task is None
    rested = resumed(tasked, tmp_path)
    for made in (tasked, untasked, rested):
        made.handle_events([OwnEvent(event("u0", n), 0) for n in (40, 41, 80)], 0)
    first, *others = (made.take_predictions()[0].arms for made in (tasked, untasked, rested))
    for other in others:
        np.testing.assert_allclose(first, other, atol=1e-3, err_msg="but for what the one event taught the blend")


def test_a_second_lineage_is_refused_by_the_fleet_until_it_takes_the_place_of_the_first() -> None:
    made = fleet(2)
    other = replace(cloud_model(1), lineage="00000000000000bb")
    made.deliver_model(other, 1000, 0)
    assert made.counts["models", "other_lineage"] == 1
    assert {device.model for device in made.devices.values()} == {cloud_model(1).id}
    made.link_lost("u0", 0)
    made.deliver_model(replace(other, replaces=("",)), 1000, 0)
    made.handle_events([*own("u0", 0, 1), *own("u1", 0, 1)], 0)
    assert [made.devices[user].model for user in ("u0", "u1")] == [cloud_model(1).id, other.id]
    assert made.take_predictions()[0].version.tolist() == [1, 1]
    assert len(made.store.models) == 2, "each predicts with its own, though both are number 1"


def test_a_new_device_comes_with_model_and_task() -> None:
    made = fleet()
    made.handle_events(own("new", 0, 1), 0)
    assert len(made.take_predictions()[0].user_id) == 1


def test_what_devices_publish_is_taken_once_in_order() -> None:
    made = fleet(1, uploads=True)
    made.handle_events(own("u0", 0, 3), 0)
    assert [publish.leaf for _, publish in made.take_outgoing()] == ["events"], "one, until there is a receipt"
    made.deliver_receipt("u0", encode_report(Receipt(("u0-0",))), 0)
    assert [decode_event(publish.payload).event_id for _, publish in made.take_outgoing()] == ["u0-1", "u0-2"]
    assert made.take_outgoing() == []
    made.deliver_receipt("u0", encode_report(Receipt(("u0-1", "u0-2"))), 0)
    assert len(made.devices["u0"].outbox) == 0
    made.deliver_receipt("u0", b"{", 0)
    assert made.counts["receipts", "malformed"] == 1


@pytest.mark.parametrize("stop_after", [1, 3, 6])
def test_a_restored_fleet_goes_on_as_if_it_had_never_stopped(tmp_path: Any, stop_after: int) -> None:
    whole = fleet(USERS)
    unbroken = [live(whole, range(stop_after)), live(whole, range(stop_after, 9))]
    first = fleet(USERS)
    before = live(first, range(stop_after))
    second = resumed(first, tmp_path)
    for user in range(USERS):
        second.connected(f"u{user}", 0)
    after = live(second, range(stop_after, 9))
    np.testing.assert_array_equal(before, unbroken[0])
    np.testing.assert_allclose(after, unbroken[1], atol=1e-6)
    assert second.counts == whole.counts


def test_of_too_many_devices_those_idle_longest_retire_and_leave_their_slots_clean() -> None:
    made = fleet(20)
    live(made, range(3))
    made.take_outgoing()
    for user in range(5, 20):
        made.handle_events([OwnEvent(event(f"u{user}", 500), 77)], 0)
    assert made.retire(most=16) == 5
    gone = made.take_gone()
    assert gone == [f"u{user}" for user in range(5)] and not set(gone) & set(made.devices)
    assert made.counts["devices", "retired"] == 5 and made.retire(most=16) == 0
    fresh, slots = fleet(1), made.store.slots
    new = [OwnEvent(e.event, 0) for e in own("new", 0, 4)]
    made.take_predictions()
    made.handle_events(new, 0)
    fresh.handle_events([OwnEvent(msgspec.structs.replace(e.event, user_id="u0"), 0) for e in new], 0)
    np.testing.assert_array_equal(made.take_predictions()[-1].arms, fresh.take_predictions()[-1].arms)
    assert made.store.slots == slots, "a slot is used again"


def test_those_whose_events_the_cloud_has_not_got_retire_last_and_what_goes_with_them_is_counted() -> None:
    made = fleet(4, uploads=True)
    for user in range(4):  # u0 did something longest ago, u3 last
        made.handle_events([OwnEvent(event(f"u{user}", n), 70 + user) for n in range(2)], 0)
    for user in (2, 3):
        made.deliver_receipt(f"u{user}", encode_report(Receipt(event_ids=(f"u{user}-0", f"u{user}-1"))), 0)
    assert (made.retire(most=3), made.take_gone(), made.counts["events", "device_gone"]) == (1, ["u2"], 0)
    assert (made.retire(most=1), made.take_gone(), made.counts["events", "device_gone"]) == (2, ["u3", "u0"], 2)


def test_a_fleet_with_retired_devices_is_restored_as_it_was(tmp_path: Any) -> None:
    made = fleet(USERS)
    live(made, range(3))
    made.take_outgoing()
    for user in range(2, USERS):
        made.handle_events([OwnEvent(event(f"u{user}", 500), 77)], 0)
    made.retire(most=USERS - 1)
    again = resumed(made, tmp_path)
    for one in (made, again):
        one.take_predictions()
        one.handle_events([e for user in made.devices for e in own(user, 600, 2)], 0)
    for before, after in zip(made.take_predictions(), again.take_predictions(), strict=True):
        np.testing.assert_allclose(before.arms, after.arms, atol=1e-6)


def test_devices_wake_though_the_clock_went_ahead_and_was_set_back() -> None:
    made, hours = fleet(1), 7_200_000
    made.handle_events(own("u0", 0, 10), 0)
    made.tick(hours)
    assert [publish.leaf for _, publish in made.take_outgoing()][-1] == "requests"
    for now_ms in range(10_000, 200_000, 1_000):
        made.tick(now_ms)
    assert [publish.leaf for _, publish in made.take_outgoing()].count("requests") >= 2


@pytest.mark.parametrize("off_ms", [0, 10_800_000, -10_800_000])
def test_a_device_asks_in_time_however_wrong_its_clock(off_ms: int) -> None:
    made, now_ms = fleet(1), 100_000_000
    made.set_clock("u0", off_ms)
    made.connected("u0", now_ms)
    made.handle_events(own("u0", 0, 10), now_ms)
    made.take_outgoing()
    made.tick(now_ms + 4_999)
    assert not made.take_outgoing()
    made.tick(now_ms + 5_000)
    assert [publish.leaf for _, publish in made.take_outgoing()] == ["requests"]


def test_how_many_devices_there_are_is_told_by_how_much_was_predicted_for_them() -> None:
    metrics = Metrics()
    made = fleet(metrics=metrics)
    for user_id, predicted, connected in (("ann", 0, True), ("bob", 30, True), ("eve", 500, False)):
        device = made.device(user_id)
        device.usage.events, device.connected = predicted, connected
    made.show()
    told = metrics.values()
    assert told["coda_devices"] == {"devices=new": 1, "devices=regular": 1, "devices=heavy": 1}
    assert told["coda_group_devices_connected"] == {"devices=new": 1, "devices=regular": 1}
