import pickle
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from bytewax.recovery import init_db_dir

from operators.saved_states import Saved
from streams.flow import state
from streams.flow.state import check_room, has_begun, look_at_state, name_state, prepare_state, state_name
from streams.home import FILE
from wire.errors import InputError


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_host_makes_its_part_and_keeps_it(tmp_path: Path) -> None:
    for host in range(3):
        prepare_state(tmp_path / str(host), host, 3)
        assert files(tmp_path / str(host)) == [f"part-{host}.sqlite3"]
        prepare_state(tmp_path / str(host), host, 3)
        assert not has_begun(tmp_path / str(host))


@pytest.mark.parametrize(("host", "hosts"), [(0, 3), (2, 3), (1, 2), (0, 1)])
def test_the_part_of_another_host_is_told(tmp_path: Path, host: int, hosts: int) -> None:
    prepare_state(tmp_path, 1, 3)
    (tmp_path / FILE).touch()
    with pytest.raises(InputError, match=f"is the state of host 1 of 3, and this is host {host} of {hosts}"):
        prepare_state(tmp_path, host, hosts)
    assert "part-1.sqlite3" in files(tmp_path)


def test_a_making_that_was_cut_off_is_ended(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    init_db_dir(whole, 3)  # type: ignore[no-untyped-call]
    for left in range(1, 4):
        folder = tmp_path / str(left)
        folder.mkdir()
        for part in range(left):
            shutil.copy(whole / f"part-{part}.sqlite3", folder)
        (folder / f"part-{left - 1}.sqlite3").write_bytes(b"")
        prepare_state(folder, 1, 3)
        assert files(folder) == ["part-1.sqlite3"]


def test_what_was_made_for_other_hosts_and_never_used_is_made_anew(tmp_path: Path) -> None:
    prepare_state(tmp_path, 1, 2)
    prepare_state(tmp_path, 1, 3)
    prepare_state(tmp_path, 0, 1)
    assert files(tmp_path) == ["dataflow", "part-0.sqlite3"]
    with closing(sqlite3.connect(tmp_path / "part-0.sqlite3")) as database:
        assert database.execute("SELECT part_index, part_count FROM parts").fetchall() == [(0, 1)]


def test_a_part_that_cannot_be_read_is_told_and_kept(tmp_path: Path) -> None:
    (tmp_path / "part-0.sqlite3").write_bytes(b"\xa5" * 5000)
    with pytest.raises(InputError, match="is damaged"):
        prepare_state(tmp_path, 0, 2)
    assert files(tmp_path) == ["part-0.sqlite3"]


def format_of(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "part-0.sqlite3")) as database:
        (found,) = database.execute("PRAGMA application_id").fetchone()
    return int(found)


def test_a_state_where_no_user_is_kept_yet_is_of_this_version(tmp_path: Path) -> None:
    init_db_dir(tmp_path, 1)  # type: ignore[no-untyped-call]
    (tmp_path / FILE).touch()
    assert format_of(tmp_path) == 0
    prepare_state(tmp_path)
    assert format_of(tmp_path) == state.FORMAT


def test_users_that_another_version_kept_are_refused_in_a_line_and_stay(tmp_path: Path) -> None:
    prepare_state(tmp_path)
    with closing(sqlite3.connect(tmp_path / "part-0.sqlite3")) as database:
        database.execute("PRAGMA application_id = 1")
        database.execute("INSERT INTO commits (created_at, part_index, commit_epoch) VALUES ('2026', 0, 1)")
        database.commit()
    (tmp_path / FILE).touch()
    with pytest.raises(InputError, match=r"of another version of this program \(format 1, not 5\): delete"):
        prepare_state(tmp_path)
    assert has_begun(tmp_path)


def test_what_a_dataflow_has_written_to_is_never_taken_for_a_making_that_was_cut_off(tmp_path: Path) -> None:
    prepare_state(tmp_path, 0, 2)
    with closing(sqlite3.connect(tmp_path / "part-0.sqlite3")) as database:
        database.execute("INSERT INTO commits (created_at, part_index, commit_epoch) VALUES ('2026', 0, 1)")
        database.commit()
    assert has_begun(tmp_path)
    with pytest.raises(InputError, match="is the state of host 0 of 2"):
        prepare_state(tmp_path, 1, 2)


def test_users_without_the_positions_that_belong_to_them_are_of_no_use(tmp_path: Path) -> None:
    prepare_state(tmp_path)
    (tmp_path / "states-0-of-1").mkdir()
    prepare_state(tmp_path)
    (tmp_path / "part-0.sqlite3").unlink()
    with pytest.raises(InputError, match=r"is damaged \(part-0.sqlite3 is gone\): delete that folder"):
        prepare_state(tmp_path)


def test_the_name_that_hosts_gave_it_stays(tmp_path: Path) -> None:
    prepare_state(tmp_path, 0, 2)
    assert state_name(tmp_path) == ""
    name_state(tmp_path, "abc")
    prepare_state(tmp_path, 0, 2)
    assert state_name(tmp_path) == "abc"


def test_a_state_of_one_host_has_a_name_from_the_beginning_and_no_other_has_it(tmp_path: Path) -> None:
    for name in ("a", "b"):
        prepare_state(tmp_path / name)
    first = state_name(tmp_path / "a")
    assert first and first != state_name(tmp_path / "b")
    prepare_state(tmp_path / "a")
    assert state_name(tmp_path / "a") == first


def test_a_state_that_has_begun_and_lost_its_name_is_damaged(tmp_path: Path) -> None:
    prepare_state(tmp_path)
    with closing(sqlite3.connect(tmp_path / "part-0.sqlite3")) as database:
        database.execute("INSERT INTO commits (created_at, part_index, commit_epoch) VALUES ('2026', 0, 1)")
        database.commit()
    (tmp_path / "dataflow").unlink()
    with pytest.raises(InputError, match=r"is damaged \(dataflow is gone\): delete that folder"):
        prepare_state(tmp_path)


@pytest.mark.parametrize(("hosts", "seen"), [(1, {0: 4, 1: 7}), (2, {0: 4})])
def test_states_that_another_host_has_are_not_looked_for(tmp_path: Path, hosts: int, seen: dict[int, int]) -> None:
    prepare_state(tmp_path, 0, hosts)
    name_state(tmp_path, "abc")
    (tmp_path / "states-0-of-2").mkdir()
    with closing(sqlite3.connect(tmp_path / "part-0.sqlite3")) as database:
        for epoch, (shard, checkpoint) in enumerate([(0, 3), (1, 7), (0, 4)]):
            for step, ahead in (("coda.user", 0), ("coda.audience", 10)):
                row = step, str(shard), epoch, pickle.dumps(Saved(shard, checkpoint + ahead))
                query = "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) VALUES (?, ?, ?, ?)"
                database.execute(query, row)
        database.commit()
    assert look_at_state(tmp_path) == (seen, {shard: checkpoint + 10 for shard, checkpoint in seen.items()})


def test_two_processes_may_look_for_room_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_room(tmp_path)
    monkeypatch.setattr(state, "write_durably", lambda _probe, _data: None)  # the other one has removed it already
    check_room(tmp_path)
    assert files(tmp_path) == []
