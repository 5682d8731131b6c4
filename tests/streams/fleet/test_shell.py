"""The fleet on real protocols: Kafka and MQTT embedded, everything else as in production."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from device_sim import topics
from device_sim.device import Device
from device_sim.fleet import Fleet
from device_sim.mqtt_link import MqttLink
from device_sim.quarantine import FleetFailed
from device_sim.stimulus import OwnEvent
from device_sim.training import TrainingJob
from models.artefact import model_to_bytes
from models.blend import PERSONAL
from monitor.metrics import Metrics
from streams.fleet.drop import Drop
from streams.fleet.shell import FleetShell, PartitionsAdded
from streams.fleet.taste_file import FILE, read_tastes
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import FLEET_GROUP
from streams.mqtt.embedded import EmbeddedMqtt
from tests.disks import fill_up, small_disk
from tests.streams.fleet.world import LIMIT_S, TASK, Cloud, cloud_model, history_of, predicted, run_until, settings_for
from tests.streams.kafka.lag import lag
from wire.claim import Claim
from wire.errors import ConnectionFailed, InputError, StorageError
from wire.event import encode_event
from wire.signing import new_keys, sign_model, sign_task
from wire.task import ARMS
from wire.telemetry import Ack, Presence, Training, encode_report


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with EmbeddedKafka() as kafka, EmbeddedMqtt() as mqtt:
        cloud = Cloud(kafka.bootstrap, mqtt, tmp_path / "keys")
        cloud.address = mqtt.settings  # type: ignore[attr-defined]
        yield cloud
        cloud.close()


async def test_every_arm_predicts_every_event_and_devices_learn_and_report(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.fleet.shell.EVERY_MS", 50)
    cloud.model(1)
    cloud.task()
    cloud.behave("events", [*history_of("ann", 0, 30), *history_of("b/ob", 0, 30)])
    settings = settings_for(cloud, tmp_path, base="logged")

    def heads_reported() -> set[str]:
        return {head for report in cloud.reports(Training) if isinstance(report, Training) for head in report.passed}

    def pushed_and_trained(shell: FleetShell) -> bool:
        # A training that ends before the link is up goes unreported: wait for what must come, not for how many.
        told = predicted(shell) == 60 and heads_reported() == set(PERSONAL) and len(cloud.reports(Ack)) >= 1
        return told and len(read_tastes(settings.state / FILE)) == 2

    result = await run_until(cloud, settings, pushed_and_trained, act=lambda _shell: cloud.batch("ann", seq=0))
    frame = pl.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert frame["event_id"].n_unique() == len(frame) == result["events"] == 60
    assert frame.select(ARMS).to_numpy().min() > 0
    assert set(result["arms"]) == {"logged", *ARMS} - {"cloud"}
    assert result["device_cost"]["compute_ms"]["p50"] > 0
    ack = cloud.reports(Ack)[0]
    assert isinstance(ack, Ack)
    assert (ack.user_id, ack.batch_seq, ack.outcome) == ("ann", 0, "accepted")
    assert lag(cloud.kafka.bootstrap, FLEET_GROUP, "events") == dict.fromkeys(range(4), 0)
    tastes = read_tastes(settings.state / FILE)
    assert tastes.keys() == {"ann", "b/ob"} and tastes["ann"].items, "what they learned stays beside their state"


async def test_a_second_run_goes_on_where_the_first_stopped(cloud: Cloud, tmp_path: Path) -> None:
    cloud.model(1)
    cloud.task()
    settings = settings_for(cloud, tmp_path)
    cloud.behave("events", history_of("ann", 0, 20))
    await run_until(cloud, settings, lambda shell: predicted(shell) == 20)
    cloud.behave("events", history_of("ann", 10, 30))  # ten of them again
    result = await run_until(cloud, settings, lambda shell: shell.service.fleet.counts["events", "duplicate"] == 10)
    frame = pl.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert sorted(frame["event_id"]) == sorted(f"ann-{n}" for n in range(40))
    assert result["events"] == 40


async def test_where_partitions_were_added_it_ends_in_order_and_goes_on(cloud: Cloud, tmp_path: Path) -> None:
    cloud.model(1)
    cloud.task()
    cloud.behave("events", history_of("ann", 0, 20))
    settings = settings_for(cloud, tmp_path)
    shells: list[FleetShell] = []

    def grown() -> bool:
        return bool(shells) and predicted(shells[0]) == 20

    with pytest.raises(PartitionsAdded):
        await run_until(cloud, settings, lambda _: False, act=shells.append, grown=grown)
    result = await run_until(cloud, settings, lambda shell: predicted(shell) == 20)
    assert result["events"] == 20, "it had taken a last snapshot"


async def test_what_a_fleet_reports_after_it_came_back_from_an_older_state_is_the_newest(
    cloud: Cloud, tmp_path: Path
) -> None:
    cloud.model(1)
    cloud.task()
    settings = settings_for(cloud, tmp_path)

    def newest() -> tuple[int, int, int]:
        trainings = [report for report in cloud.reports(Training) if isinstance(report, Training)]
        return max(((report.boot, report.sequence, report.events) for report in trainings), default=(0, 0, 0))

    cloud.behave("events", history_of("ann", 0, 20))
    await run_until(cloud, settings, lambda shell: predicted(shell) == 20)
    shutil.copytree(settings.state, tmp_path / "older")
    cloud.behave("events", history_of("ann", 20, 20))
    await run_until(cloud, settings, lambda shell: predicted(shell) == 40)
    await run_until(cloud, settings, lambda _: newest()[2] == 40)  # said when the link is back
    ahead = newest()
    shutil.rmtree(settings.state)
    shutil.copytree(tmp_path / "older", settings.state)
    await run_until(cloud, settings, lambda shell: predicted(shell) == 40)
    await run_until(cloud, settings, lambda _: newest()[1] > ahead[1] and newest()[2] == 40)
    assert newest()[0] == ahead[0], "one life, which the cloud counts once"


async def test_a_fleet_that_has_to_end_keeps_its_snapshot(cloud: Cloud, tmp_path: Path) -> None:
    """Here because an earlier fleet of its name comes: the whole of what it did is in its state."""
    cloud.model(1)
    cloud.task()
    cloud.behave("events", history_of("ann", 0, 20))
    settings = settings_for(cloud, tmp_path)
    address = cloud.address  # type: ignore[attr-defined]
    earlier = MqttLink(address.host, address.port, 1, Claim("coda-fleet", "earlier", 0), metrics=Metrics())
    with pytest.raises(ConnectionFailed, match="another fleet named coda-fleet"):
        await run_until(cloud, settings, lambda _: False)
    await earlier.close()
    result = await run_until(cloud, settings, lambda shell: predicted(shell) == 20)
    assert result["events"] == 20


async def test_a_training_that_fails_does_not_end_the_fleet(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(_job: TrainingJob, _clock: Any) -> Any:
        raise ValueError("singular matrix")

    monkeypatch.setattr(TrainingJob, "run", poisoned)
    cloud.model(1)
    cloud.task()
    settings = settings_for(cloud, tmp_path)
    cloud.behave("events", history_of("ann", 0, 30))

    def failed_and_went_on(shell: FleetShell) -> bool:
        return predicted(shell) == 30 and shell.service.fleet.counts["trainings", "failed"] > 0

    result = await run_until(cloud, settings, failed_and_went_on, act=lambda _shell: cloud.batch("ann", seq=0))
    assert result["outcomes"]["trainings"].keys() == {"failed"}


async def test_a_mistake_of_ours_ends_it_in_one_line_and_it_goes_on_from_its_snapshot(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.model(1)
    cloud.task()
    settings = settings_for(cloud, tmp_path)
    cloud.behave("events", history_of("ann", 0, 20))
    await run_until(cloud, settings, lambda shell: predicted(shell) == 20)
    restored: list[str] = []

    def mistaken(fleet: Fleet, *_: object) -> None:
        fleet.release("ann")  # a snapshot from now on would know nothing of ann
        raise TypeError("a mistake\nof two lines")

    with monkeypatch.context() as patch:
        patch.setattr(Fleet, "handle_events", mistaken)
        cloud.behave("events", history_of("ann", 20, 10))
        with pytest.raises(FleetFailed, match=r"TypeError: a mistake of two lines \(test_shell.py:\d+\)"):
            await run_until(cloud, settings, lambda _: False)

    def went_on(shell: FleetShell) -> bool:
        restored.append(" ".join(shell.service.fleet.devices))
        return predicted(shell) == 30

    result = await run_until(cloud, settings, went_on)
    assert restored[0] == "ann"
    assert result["events"] == 30


async def test_an_event_that_a_device_fails_of_costs_that_device_and_its_connection(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = Device.handle

    def picky(device: Device, stimulus: Any, now_ms: Any) -> Any:
        if device.user_id == "ann" and isinstance(stimulus, OwnEvent) and stimulus.event.event_id == "ann-7":
            raise ValueError("odd")
        return handle(device, stimulus, now_ms)

    monkeypatch.setattr(Device, "handle", picky)
    cloud.model(1)
    cloud.task()
    cloud.behave("events", history_of("ann", 0, 7) + history_of("bob", 0, 7))

    def ann_was(online: bool) -> bool:
        return encode_report(Presence("ann", online=online)) in [raw for _, _, raw in list(cloud.heard)]

    def meet_the_odd_one(_shell: FleetShell) -> None:
        while not ann_was(online=True):
            time.sleep(0.01)
        cloud.behave("events", history_of("ann", 7, 5) + history_of("bob", 7, 5))

    def left(shell: FleetShell) -> bool:
        return ann_was(online=False) and shell.service.fleet.devices.keys() == {"bob"} and predicted(shell) == 7 + 12

    result = await run_until(cloud, settings_for(cloud, tmp_path), left, act=meet_the_odd_one)
    assert result["outcomes"]["devices"] == {"quarantined": 1} and result["devices"] == 1


async def test_records_are_never_deleted_for_a_state_that_knows_nothing_of_them(cloud: Cloud, tmp_path: Path) -> None:
    cloud.model(1)
    cloud.task()
    cloud.behave("events", history_of("ann", 0, 20))
    await run_until(cloud, settings_for(cloud, tmp_path), lambda shell: predicted(shell) == 20)
    before = pl.read_parquet(tmp_path / "out" / "predictions" / "000000.parquet")
    (tmp_path / "new").mkdir()
    with pytest.raises(InputError, match="give another --out, or the --state that they belong to"):
        await run_until(cloud, settings_for(cloud, tmp_path, state=tmp_path / "new"), lambda _shell: True)
    assert pl.read_parquet(tmp_path / "out" / "predictions" / "000000.parquet").equals(before)
    result = await run_until(cloud, settings_for(cloud, tmp_path), lambda _shell: True)
    assert result["events"] == 20


async def test_a_full_disk_ends_it_in_one_line_and_with_room_it_goes_on(cloud: Cloud, tmp_path: Path) -> None:
    cloud.model(1)
    cloud.task()
    with small_disk(tmp_path / "disk", 2 << 20) as disk:
        (disk / "state").mkdir()
        (disk / "out").mkdir()
        settings = settings_for(cloud, tmp_path, state=disk / "state", out=disk / "out")
        cloud.behave("events", history_of("ann", 0, 10))
        await run_until(cloud, settings, lambda shell: predicted(shell) == 10)
        filled = fill_up(disk)
        cloud.behave("events", history_of("ann", 10, 20))
        with pytest.raises(
            StorageError, match="No space left on device: make room on that disk and start again"
        ) as full:
            await run_until(cloud, settings, lambda _shell: False)
        assert "\n" not in str(full.value)
        filled.unlink()
        result = await run_until(cloud, settings, lambda shell: predicted(shell) == 30)
        assert result["events"] == 30
        assert len(pl.read_parquet(disk / "out" / "predictions.parquet")["event_id"].unique()) == 30


async def test_devices_upload_their_events_until_the_cloud_has_them(cloud: Cloud, tmp_path: Path) -> None:
    cloud.model(1)
    cloud.task()
    cloud.behave("behaviour", history_of("ann", 0, 5))
    cloud.has_not.add("ann-4")

    def uploads() -> set[bytes]:
        return {raw for user_id, leaf, raw in list(cloud.heard) if (user_id, leaf) == ("ann", "events")}

    settings = settings_for(cloud, tmp_path, own="behaviour")
    await run_until(
        cloud,
        settings,
        lambda shell: len(uploads()) == 5 and len(shell.service.fleet.devices["ann"].outbox) == 1,
    )
    assert uploads() == {encode_event(event) for event in history_of("ann", 0, 5)}


async def test_damaged_and_unsigned_models_and_tasks_are_passed_over(cloud: Cloud, tmp_path: Path) -> None:
    stranger, _ = new_keys()
    settings = settings_for(cloud, tmp_path)

    def act(_shell: FleetShell) -> None:
        cloud.push(topics.MODEL, b"\x00\x00\x00\x02{}damaged")
        cloud.push(topics.TASK, sign_task(TASK, stranger))
        time.sleep(0.2)
        cloud.push(topics.MODEL, sign_model(model_to_bytes(cloud_model(7)), stranger))
        cloud.push(topics.TASK, b"no task")
        time.sleep(0.5)
        cloud.model(1)
        cloud.task()
        cloud.behave("events", history_of("ann", 0, 5))

    result = await run_until(cloud, settings, lambda shell: predicted(shell) == 5, act=act)
    # At least once each: what is retained may come a second time with the subscription.
    for kind in ("models", "tasks"):
        assert result["outcomes"][kind]["refused"] >= 1
        assert result["outcomes"][kind]["unsigned"] >= 1
    assert result["model_version"] == 1


async def test_only_so_many_devices_as_asked(cloud: Cloud, tmp_path: Path) -> None:
    cloud.model(1)
    cloud.task()
    events = [event for n in range(5) for event in history_of(f"user-{n}", 0, 4)]
    cloud.behave("events", events)
    settings = settings_for(cloud, tmp_path, devices=2)
    result = await run_until(cloud, settings, lambda shell: sum(shell.service.positions.values()) == len(events))
    assert result["devices"] == 2
    assert result["events"] == 8


async def test_a_state_of_the_other_kind_is_refused(cloud: Cloud, tmp_path: Path) -> None:
    cloud.model(1)
    cloud.task()
    cloud.behave("events", history_of("ann", 0, 2))
    await run_until(cloud, settings_for(cloud, tmp_path), lambda shell: predicted(shell) == 2)
    with pytest.raises(InputError, match="give another --state"):
        await run_until(cloud, settings_for(cloud, tmp_path, own="behaviour"), lambda _shell: True)


async def test_of_too_many_devices_those_idle_longest_retire_and_may_come_back(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.fleet.service.MOST_DEVICES", 3)
    cloud.model(1)
    cloud.task()

    def come_and_go(shell: FleetShell) -> None:
        for n, user in enumerate([*range(6), 0]):
            cloud.behave("events", history_of(f"u{user}", 5 if n == 6 else 0, 5))
            while shell.service.board.events < 5 * (n + 1):
                time.sleep(0.02)

    result = await run_until(
        cloud, settings_for(cloud, tmp_path), lambda shell: shell.service.board.events == 35, act=come_and_go
    )
    assert result["devices"] == 3 and result["outcomes"]["devices"]["retired"] == 4
    assert result["events"] == 35, "what happens after is predicted all the same"


async def test_what_users_do_while_their_devices_are_dropped_comes_up_when_these_are_back(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.fleet.drop.AFTER_S", 1.5)
    cloud.model(1)
    cloud.task()
    users, drop = [f"user-{n}" for n in range(8)], Drop(0.5, 1.5, seed=1)
    dropped = {user for user in users if user in drop.members}
    settings = settings_for(cloud, tmp_path, own="behaviour", orders=drop)
    cloud.behave("behaviour", [event for user in users for event in history_of(user, 0, 2)])
    up_early: set[str] = set()

    def came_up() -> set[str]:
        return {raw.decode() for _, leaf, raw in list(cloud.heard) if leaf == "events"}

    def act(shell: FleetShell) -> None:
        wait_until(lambda: len(shell.service.fleet.devices) == 8 and drop.account.began)
        wait_until(lambda: {u for u, d in shell.service.fleet.devices.items() if not d.connected} == dropped)
        cloud.behave("behaviour", [event for user in users for event in history_of(user, 2, 1)])
        wait_until(lambda: predicted(shell) == 24)
        up_early.update(user for user in users if any(f'"{user}-2"' in raw for raw in came_up()))

    def all_came(_shell: FleetShell) -> bool:
        return drop.account.connected_s is not None and all(any(f'"{u}-2"' in raw for raw in came_up()) for u in users)

    await run_until(cloud, settings, all_came, act=act)
    assert not up_early & dropped
    assert drop.account.cut == len(dropped) == drop.account.devices
    assert f"{len(dropped)} of {len(dropped)} cut, all back" in drop.account.line()


def wait_until(holds: Callable[[], bool]) -> None:
    end_s = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < end_s
        time.sleep(0.02)
