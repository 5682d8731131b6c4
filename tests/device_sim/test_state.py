import shutil
from pathlib import Path

import pytest

from device_sim.state import fleet_state, read_state, restore_fleet, write_state
from tests.device_sim.world import cpu_s, fleet, own, raw_batch
from tests.disks import fill_up, small_disk
from wire.errors import InputError, StorageError


def test_positions_and_records_come_back_with_the_fleet(tmp_path: Path) -> None:
    made = fleet(2, uploads=True)
    made.handle_events(own("u0", 0, 3), 0)
    write_state(fleet_state(made, {"behaviour": {3: 42}}, {"parts": 2}), made.bank.models, tmp_path)
    state = read_state(tmp_path)
    assert state is not None
    assert (state.positions, state.recorded) == ({"behaviour": {3: 42}}, {"parts": 2})
    back = restore_fleet(state, tmp_path, seed=3, now_ms=0)
    assert back.devices["u0"].outbox.state() == made.devices["u0"].outbox.state() != {}
    assert not any(device.connected for device in back.devices.values())


def test_a_training_that_ran_is_begun_again(tmp_path: Path) -> None:
    made = fleet(1)
    made.handle_events(own("u0", 0, 12), 0)
    made.deliver_batch("u0", raw_batch("u0", 5), 0)
    assert made.begin_training(0) is not None
    state = fleet_state(made, {}, {})
    write_state(state, made.bank.models, tmp_path)
    back = restore_fleet(state, tmp_path, seed=3, now_ms=0)
    back.tick(0)
    assert back.train_due(0, cpu_s) == 1
    assert back.devices["u0"].trained_seq == 5


def test_a_fleet_that_has_seen_nothing_yet_comes_back_too(tmp_path: Path) -> None:
    made = fleet()
    state = fleet_state(made, {}, {})
    write_state(state, made.bank.models, tmp_path)
    back = restore_fleet(state, tmp_path, seed=3, now_ms=0)
    assert back.model is not None
    assert (back.model.version, back.task, back.devices) == (1, made.task, {})
    back.handle_events(own("u0", 0, 1), 0)
    assert len(back.take_predictions()) == 1


def test_no_state_is_no_fleet(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None


@pytest.mark.parametrize("raw", [b"", b"not msgpack at all", b"\x80", bytes(1000)])
def test_a_damaged_state_is_refused_in_one_line(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "fleet.msgpack").write_bytes(raw)
    with pytest.raises(InputError, match="give another --state") as refused:
        read_state(tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("damage", ["cut", "bit"])
def test_a_state_is_believed_whole_or_not_at_all(tmp_path: Path, damage: str) -> None:
    made = fleet(2)
    made.handle_events(own("u0", 0, 12), 0)
    write_state(fleet_state(made, {}, {}), made.bank.models, tmp_path)
    path = tmp_path / "fleet.msgpack"
    whole = path.read_bytes()
    for at in range(0, len(whole), 97):
        changed = whole[:at] if damage == "cut" else whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        path.write_bytes(changed)
        with pytest.raises(InputError, match="is damaged"):
            read_state(tmp_path)


def test_what_a_crash_left_beside_the_models_is_in_nobodys_way(tmp_path: Path) -> None:
    made = fleet()
    for name in (".1.new", ".2.new", "notes"):
        (tmp_path / "models" / name).mkdir(parents=True)
    (tmp_path / "models" / ".1.new" / "manifest.json").write_text("half")
    (tmp_path / ".fleet.msgpack.new").write_text("half")
    for _ in range(2):
        write_state(fleet_state(made, {}, {}), made.bank.models, tmp_path)
        state = read_state(tmp_path)
        assert state is not None and restore_fleet(state, tmp_path, seed=3, now_ms=0).model is not None
    assert (tmp_path / "models" / "notes").exists()


def test_a_full_disk_keeps_the_state_of_before(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256 * 1024) as disk:
        made = fleet(1)
        write_state(fleet_state(made, {}, {"parts": 1}), made.bank.models, disk)
        filled = fill_up(disk, leave_bytes=4096)
        made.handle_events(own("u0", 0, 300), 0)
        with pytest.raises(StorageError, match="No space left on device: make room"):
            write_state(fleet_state(made, {}, {"parts": 2}), made.bank.models, disk)
        state = read_state(disk)
        assert state is not None and state.recorded == {"parts": 1}
        filled.unlink()
        write_state(fleet_state(made, {}, {"parts": 2}), made.bank.models, disk)
        assert restore_fleet(read_state(disk) or state, disk, seed=3, now_ms=0).devices.keys() == {"u0"}


def test_a_model_that_is_gone_is_said_in_one_line(tmp_path: Path) -> None:
    made = fleet(1)
    write_state(fleet_state(made, {}, {}), made.bank.models, tmp_path)
    shutil.rmtree(tmp_path / "models")
    state = read_state(tmp_path)
    assert state is not None
    with pytest.raises(InputError, match="put it back from a copy, or give another --state and --out"):
        restore_fleet(state, tmp_path, seed=3, now_ms=0)


def test_a_damaged_model_in_a_state_is_refused_in_one_line(tmp_path: Path) -> None:
    made = fleet()
    state = fleet_state(made, {}, {})
    write_state(state, made.bank.models, tmp_path)
    tensors = tmp_path / "models" / "1" / "model.coda"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=r"sha256.*give another --state") as refused:
        restore_fleet(state, tmp_path, seed=3, now_ms=0)
    assert "\n" not in str(refused.value)
