import gc
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from device_sim.at_rest import DeviceAtRest, Parts
from device_sim.fleet import Fleet
from device_sim.state import FleetState
from models.artefact import save_model
from monitor.metrics import Metrics
from tests.device_sim.world import cloud_model, cpu_s, event, fleet, own, raw_batch, resumed, saved
from tests.disks import fill_up, small_disk
from wire.errors import InputError, StorageError


def trained(users: int) -> Fleet:
    """A fleet whose devices have personal heads and a batch."""
    made = fleet(users)
    for n in range(users):
        made.handle_events(own(f"u{n}", 0, 12), 0)
        made.deliver_batch(f"u{n}", raw_batch(f"u{n}", 5), 0)
    made.train_due(0, cpu_s)
    return made


def read(folder: Path) -> Fleet | None:
    back = FleetState(folder).resume(Metrics(), uploads=False, seed=3, now_ms=0)
    return back.fleet if back else None


def at_rest(made: Fleet) -> dict[str, Parts]:
    """All parts of all devices, but for the number of the newest report, which goes up with a rest."""
    for device in made.devices.values():
        device.usage.sequence = 0
    return {
        user_id: DeviceAtRest.of(device, made.store.take(made.slots[user_id])).parts()
        for user_id, device in made.devices.items()
    }


def rows_of(folder: Path) -> dict[tuple[str, str], bytes]:
    database = sqlite3.connect(folder / "fleet.sqlite")
    rows = database.execute("SELECT user_id, part, digest FROM parts").fetchall()
    database.close()
    return {(user_id, part): digest for user_id, part, digest in rows}


def test_positions_and_records_come_back_with_the_fleet(tmp_path: Path) -> None:
    made = fleet(2, uploads=True)
    made.handle_events(own("u0", 0, 3), 0)
    state = FleetState(tmp_path)
    state.note(made, {"behaviour": {3: 42}}, {"parts": 2})
    state.write()
    back = FleetState(tmp_path).resume(Metrics(), uploads=True, seed=3, now_ms=0)
    assert back is not None
    assert (back.positions, back.recorded) == ({"behaviour": {3: 42}}, {"parts": 2})
    assert back.fleet.devices["u0"].outbox.state() == made.devices["u0"].outbox.state() != {}
    assert not any(device.connected for device in back.fleet.devices.values())


def test_a_training_that_ran_is_begun_again(tmp_path: Path) -> None:
    made = fleet(1)
    made.handle_events(own("u0", 0, 12), 0)
    made.deliver_batch("u0", raw_batch("u0", 5), 0)
    assert made.begin_training(0) is not None
    back = resumed(made, tmp_path)
    back.tick(0)
    assert back.train_due(0, cpu_s) == 1
    assert back.devices["u0"].trained_seq == 5


def test_a_fleet_that_has_seen_nothing_yet_comes_back_too(tmp_path: Path) -> None:
    made = fleet()
    back = resumed(made, tmp_path)
    assert back.offer.model is not None
    assert (back.offer.model.version, back.offer.task, back.devices) == (1, made.offer.task, {})
    back.handle_events(own("u0", 0, 1), 0)
    assert len(back.take_predictions()) == 1


def test_no_state_is_no_fleet(tmp_path: Path) -> None:
    assert read(tmp_path) is None and not list(tmp_path.iterdir())


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    made = trained(5)
    state = saved(made, tmp_path)
    before = rows_of(tmp_path)
    database = sqlite3.connect(tmp_path / "fleet.sqlite")
    database.execute("CREATE TABLE written (user_id TEXT, part TEXT)")
    for kind in ("INSERT", "UPDATE"):
        database.execute(
            f"CREATE TRIGGER on_{kind} AFTER {kind} ON parts BEGIN "
            "INSERT INTO written VALUES (new.user_id, new.part); END"
        )
    database.commit()
    made.handle_events(own("u2", 12, 1), 0)
    state.note(made, {}, {})
    state.write()
    written = set(database.execute("SELECT user_id, part FROM written").fetchall())
    database.close()
    after = rows_of(tmp_path)
    assert written == {key for key in after if after[key] != before.get(key)}
    assert {user_id for user_id, _ in written} == {"u2"} and not {part for _, part in written} & {"heads", "batch"}


def test_a_device_at_rest_is_the_same_after_any_number_of_snapshots(tmp_path: Path) -> None:
    made = trained(4)
    state = saved(made, tmp_path)
    for n in range(12, 20):
        made.handle_events(own(f"u{n % 4}", n, 2), 0)
        made.train_due(0, cpu_s)
        state.note(made, {}, {})
        state.write()
    back = read(tmp_path)
    assert back is not None and list(back.devices) == list(made.devices)
    assert resumed(made, tmp_path / "whole").counts == back.counts == made.counts
    for one in (made, back):
        one.take_predictions()
        one.handle_events([e for n in range(4) for e in own(f"u{n}", 40, 3)], 0)
    for expected, got in zip(made.take_predictions(), back.take_predictions(), strict=True):
        np.testing.assert_array_equal(expected.arms, got.arms)


def test_a_snapshot_shows_nothing_of_what_devices_do_while_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device_sim.state.AT_ONCE", 2)
    made, state = trained(12), FleetState(tmp_path)
    state.note(made, {}, {})
    made.handle_events([e for n in range(12) for e in own(f"u{n}", 12, 12)], 0)
    job = made.begin_training(0, limit=9)
    made.handle_events(own("new", 0, 12), 0)
    before, order = at_rest(made), list(made.devices)
    slices = state.noting(made, {}, {})
    next(slices)
    made.handle_events([e for n in (6, 3, 0) for e in own(f"u{n}", 24, 12)] + own("newer", 0, 1), 0)
    assert job is not None and job.users[-1] == "u8"
    made.finish_training(job.attempt(cpu_s), 0)
    made.release("u9")
    made.handle_events(own("u9", 50, 1), 0)
    assert len(list(slices)) > 0, "that was while it was taken"
    state.write()
    back = read(tmp_path)
    assert back is not None and list(back.devices) == order and at_rest(back) == before
    state.note(made, {}, {})
    state.write()
    newest = read(tmp_path)
    assert newest is not None and at_rest(newest) == at_rest(made)


def test_a_snapshot_is_no_work_for_the_garbage_collector() -> None:
    """It would look through all devices in one go, however few are taken down at a time."""
    made = trained(30)
    made.handle_events([e for n in range(30) for e in own(f"u{n}", 12, 2)], 0)
    gc.collect()
    before = len(gc.get_objects())
    made.changes.begin()
    assert not made.changes.go_on(30)
    assert len(gc.get_objects()) - before < 10


def test_who_retired_is_gone_from_the_state_and_may_come_again(tmp_path: Path) -> None:
    made = trained(3)
    state = saved(made, tmp_path)
    made.release("u1")
    state.note(made, {}, {})
    state.write()
    assert "u1" not in {user_id for user_id, _ in rows_of(tmp_path)}
    made.handle_events(own("u1", 50, 1), 0)
    made.release("u0")
    state.note(made, {}, {})
    state.write()
    back = read(tmp_path)
    assert back is not None and back.devices.keys() == {"u1", "u2"} and len(back.devices["u1"].window) == 1


def test_what_was_noted_and_never_written_is_written_with_the_next(tmp_path: Path) -> None:
    made = fleet(2)
    state = FleetState(tmp_path)
    made.handle_events(own("u0", 0, 3), 0)
    state.note(made, {}, {})
    made.handle_events(own("u1", 0, 3), 0)
    state.note(made, {}, {})
    state.write()
    back = read(tmp_path)
    assert back is not None and [len(device.window) for device in back.devices.values()] == [3, 3]


def test_the_file_does_not_grow_with_the_number_of_snapshots(tmp_path: Path) -> None:
    made = trained(3)
    state, sizes = saved(made, tmp_path), []
    for n in range(40):
        made.handle_events([*own("u0", 12 + n, 1)], 0)
        made.devices["u0"].window.resize(8, 1 << 50)
        state.note(made, {}, {})
        state.write()
        sizes.append((tmp_path / "fleet.sqlite").stat().st_size)
    assert max(sizes[20:]) <= 1.2 * sizes[5]


@pytest.mark.parametrize("raw", [b"", b"not sqlite at all", b"\x80", bytes(1000)])
def test_a_damaged_state_is_refused_in_one_line(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "fleet.sqlite").write_bytes(raw)
    with pytest.raises(InputError, match="give another --state") as refused:
        read(tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("damage", ["cut", "bit", "zeros"])
def test_a_state_is_believed_whole_or_not_at_all(tmp_path: Path, damage: str) -> None:
    """What lies in room that is not in use may change; then the fleet is the same."""
    made = trained(2)
    saved(made, tmp_path)
    path = tmp_path / "fleet.sqlite"
    whole, refused = path.read_bytes(), 0
    places = range(0, len(whole), 397)
    for at in places:
        changed = bytearray(whole[:at] if damage == "cut" else whole)
        if damage == "bit":
            changed[at] ^= 1
        elif damage == "zeros":
            changed[at : at + 512] = bytes(len(changed[at : at + 512]))
        path.write_bytes(changed)
        try:
            back = read(tmp_path)
        except InputError as error:
            refused += "is damaged" in str(error)
        else:
            assert back is not None and at_rest(back) == at_rest(made)
    assert refused > len(places) / 4


def test_a_row_that_is_lost_or_of_another_time_shows(tmp_path: Path) -> None:
    made = trained(3)
    state = saved(made, tmp_path)
    path = tmp_path / "fleet.sqlite"
    earlier = path.read_bytes()
    made.handle_events(own("u1", 30, 2), 0)
    state.note(made, {}, {})
    state.write()
    later = path.read_bytes()
    (tmp_path / "earlier.sqlite").write_bytes(earlier)
    for damage in (
        "DELETE FROM parts WHERE user_id = 'u2'",
        "DELETE FROM parts WHERE part = 'batch'",
        "DELETE FROM fleet",
        "INSERT OR REPLACE INTO parts SELECT * FROM earlier.parts WHERE user_id = 'u1'",
        "INSERT OR REPLACE INTO fleet SELECT * FROM earlier.fleet",
        "UPDATE parts SET data = NULL",
        "UPDATE parts SET data = CAST(data AS TEXT)",
        "UPDATE parts SET part = 'window' || part",
    ):
        path.write_bytes(later)
        database = sqlite3.connect(path)
        database.execute("ATTACH ? AS earlier", (str(tmp_path / "earlier.sqlite"),))
        with database:
            database.execute(damage)
        database.close()
        with pytest.raises(InputError, match="is damaged"):
            read(tmp_path)


def test_another_format_is_refused_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device_sim.state.FORMAT", "coda-fleet-99")
    saved(fleet(1), tmp_path)
    monkeypatch.undo()
    with pytest.raises(InputError, match="has format 'coda-fleet-99'"):
        read(tmp_path)


def test_what_a_crash_left_beside_the_models_is_in_nobodys_way(tmp_path: Path) -> None:
    made = fleet()
    for name in (".1.new", ".2.new", "notes"):
        (tmp_path / "models" / name).mkdir(parents=True)
    (tmp_path / "models" / ".1.new" / "manifest.json").write_text("half")
    for _ in range(2):
        assert resumed(made, tmp_path).offer.model is not None
    assert (tmp_path / "models" / "notes").exists()


def test_a_full_disk_keeps_the_state_of_before(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 512 * 1024) as disk:
        made = fleet(1)
        state = FleetState(disk)
        state.note(made, {}, {"parts": 1})
        state.write()
        filled = fill_up(disk, leave_bytes=8192)
        made.handle_events(own("u0", 0, 300), 0)
        state.note(made, {}, {"parts": 2})
        with pytest.raises(StorageError, match="No space left on device: make room"):
            state.write()
        back = FleetState(disk).resume(Metrics(), uploads=False, seed=3, now_ms=0)
        assert back is not None and back.recorded == {"parts": 1}
        filled.unlink()
        state.note(made, {}, {"parts": 2})
        state.write()
        back = FleetState(disk).resume(Metrics(), uploads=False, seed=3, now_ms=0)
        assert back is not None and back.recorded == {"parts": 2} and len(back.fleet.devices["u0"].window) == 300


def test_a_model_that_is_gone_is_said_in_one_line(tmp_path: Path) -> None:
    saved(fleet(1), tmp_path)
    shutil.rmtree(tmp_path / "models")
    with pytest.raises(InputError, match="put it back from a copy, or give another --state and --out"):
        read(tmp_path)


def test_a_damaged_model_in_a_state_is_refused_in_one_line(tmp_path: Path) -> None:
    saved(fleet(), tmp_path)
    (place,) = (tmp_path / "models").iterdir()
    tensors = place / "model.coda"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=r"sha256.*give another --state") as refused:
        read(tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("user_id", ["b/ob", "nul\0in it", "Ünïcødé ✓", "'; DROP TABLE parts; --", "u" * 256])
def test_any_users_device_comes_back(tmp_path: Path, user_id: str) -> None:
    made = fleet()
    made.handle_events(own(user_id, 0, 3), 0)
    back = resumed(made, tmp_path)
    assert list(back.devices) == [user_id] and len(back.devices[user_id].window) == 3


def test_a_device_moves_to_another_fleet_with_all_it_has_learned() -> None:
    here, there = trained(3), fleet(2)
    stays = trained(3)
    device = here.release("u1")
    assert "u1" not in here.devices
    there.release("u1")
    there.adopt(device)
    probe = own("u1", 40, 4)
    for one in (stays, there):
        one.take_predictions()
        one.handle_events(probe, 0)
    expected, got = (one.take_predictions()[0].arms for one in (stays, there))
    np.testing.assert_array_equal(expected, got)
    assert event("u1", 40).user_id == device.user_id


def test_a_model_in_the_place_of_another_is_not_believed(tmp_path: Path) -> None:
    made = fleet(1)
    state = FleetState(tmp_path)
    state.note(made, {}, {})
    state.write()
    (place,) = (tmp_path / "models").iterdir()
    save_model(replace(cloud_model(1), lineage="00000000000000bb"), place)
    with pytest.raises(InputError, match="not v1 of no lineage"):
        FleetState(tmp_path).resume(Metrics(), uploads=False, seed=0, now_ms=0)
