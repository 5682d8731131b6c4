"""What the doctor says of the folders of a flow."""

import os
import pickle
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from index.owner import Owner
from index.pool import Pool
from index.spec import PoolSpec
from operators.placement import shard_key
from operators.saved_states import Saved
from streams.doctor.disk import on_disk
from streams.doctor.finding import Finding
from streams.flow.state import FLOW_ID, ITEMS, USERS, prepare_state, state_name
from streams.flow.state_shards import StateShards, check_pool
from streams.home import FILE
from wire.durable import hold
from wire.errors import PoolError
from wire.signing import PRIVATE, PUBLIC, keys_in


def pooled(state: Path, epoch: int, writes: dict[int, int]) -> None:
    """Note as Bytewax does how much each shard of the pool has taken."""
    rows = [(shard_key(shard, 2), epoch, pickle.dumps(count)) for shard, count in writes.items()]
    with closing(sqlite3.connect(state / "part-0.sqlite3")) as database:
        query = "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) VALUES ('coda.shard', ?, ?, ?)"
        database.executemany(query, rows)
        database.commit()


def saved(state: Path, checkpoints: dict[int, int], step: str = USERS) -> None:
    """Note as Bytewax does at which checkpoint the users of each shard are, or the items."""
    rows = [(f"{FLOW_ID}.{step}", str(shard), at, pickle.dumps(Saved(shard, at))) for shard, at in checkpoints.items()]
    with closing(sqlite3.connect(state / "part-0.sqlite3")) as database:
        query = "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) VALUES (?, ?, ?, ?)"
        database.executemany(query, rows)
        database.commit()


def made(folder: Path) -> Path:
    """A state with two shards of users, as a crash leaves it."""
    prepare_state(folder / "whole")
    (folder / "whole" / FILE).write_text("{}")
    saved(folder / "whole", {0: 2, 1: 2})
    saved(folder / "whole", {0: 1, 1: 1}, ITEMS)
    with StateShards(folder / "whole", 2) as shards:
        for shard in range(2):
            users, items = shards.of(shard).users, shards.of(shard).items
            assert not list(users.resume(None)) and not list(items.resume(None))
            users.save({"ann": b"1" * 300, "bob": b"1"}, 2)
            users.save({"eve": b"1" * 300}, 3)
            items.save({"7": b"1" * 300}, 1)
        shutil.copytree(folder / "whole", folder / "state")
    return folder / "state"


def told(state: Path, pool: Path | None = None) -> list[Finding]:
    found = on_disk(state / "none", pool or state / "none", state)
    return [each for each in found if each.name in ("state", "states", "pool") and "none at" not in each.seen]


def contents(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_state_and_the_users_of_each_shard_are_looked_at_and_left_as_they_are(tmp_path: Path) -> None:
    state = made(tmp_path)
    before = contents(state)
    assert list(map(str, told(state))) == [
        f"ok    state: {state} is the state of a flow",
        f"ok    states: {state}/states-0-of-2: 3 users as of checkpoint 2, 1 items as of checkpoint 1",
        f"ok    states: {state}/states-1-of-2: 3 users as of checkpoint 2, 1 items as of checkpoint 1",
    ]
    assert contents(state) == before


def test_what_a_crash_left_to_be_written_is_read_and_stays(tmp_path: Path) -> None:
    state = made(tmp_path)
    with closing(sqlite3.connect(state / "part-0.sqlite3")) as database:
        database.execute("INSERT INTO commits (part_index, commit_epoch) VALUES (0, 1)")
        database.commit()
        shutil.copytree(state, tmp_path / "left")
    log = tmp_path / "left" / "part-0.sqlite3-wal"
    before = log.read_bytes()
    assert before and [each.word for each in told(tmp_path / "left")] == ["ok"] * 3 and log.read_bytes() == before


def test_that_of_a_flow_that_runs_is_left_alone(tmp_path: Path) -> None:
    state = made(tmp_path)
    with hold(state):
        (found,) = told(state)
    assert found.word == "ok" and found.seen == f"{state} is that of a flow that runs: what is in it was not looked at"


@pytest.mark.parametrize("kind", ["*.log", "MANIFEST-*", "CURRENT"])
def test_damaged_users_fail_and_those_of_other_shards_are_looked_at(tmp_path: Path, kind: str) -> None:
    state = made(tmp_path)
    (file,) = (state / "states-0-of-2").glob(kind)
    file.write_bytes(os.urandom(2000))
    _, damaged, whole = told(state)
    assert (damaged.word, whole.word) == ("fail", "ok")
    assert "is damaged (states-0-of-2" in damaged.seen and "delete that folder" in damaged.seen


@pytest.mark.parametrize(("step", "of", "there"), [(USERS, "users", 2), (ITEMS, "items", 1)])
def test_states_of_another_time_than_the_positions_fail(tmp_path: Path, step: str, of: str, there: int) -> None:
    state = made(tmp_path)
    saved(state, {1: 3}, step)
    _, whole, old = told(state)
    assert whole.word == "ok" and old.word == "fail"
    assert f"(states-1-of-2: {of} are at checkpoint {there}, not 3)" in old.seen


def test_users_that_are_gone_fail(tmp_path: Path) -> None:
    state = made(tmp_path)
    shutil.rmtree(state / "states-1-of-2")
    (found,) = told(state)
    assert found.word == "fail" and "is damaged (the states of shard 1 are gone): delete" in found.seen


def test_users_that_were_swapped_fail(tmp_path: Path) -> None:
    state = made(tmp_path)
    (state / "states-0-of-2").rename(state / "aside")
    (state / "states-1-of-2").rename(state / "states-0-of-2")
    (state / "aside").rename(state / "states-1-of-2")
    for shard, found in enumerate(told(state)[1:]):
        assert found.word == "fail"
        assert f"states-{shard}-of-2 is that of shard {1 - shard} of 2: put each folder back" in found.seen


@pytest.mark.parametrize("file", ["part-0.sqlite3", "dataflow"])
def test_a_state_of_which_a_file_is_gone_fails_and_its_users_are_not_looked_at(tmp_path: Path, file: str) -> None:
    state = made(tmp_path)
    (state / file).unlink()
    (found,) = told(state)
    assert found.word == "fail" and "is damaged" in found.seen and "is gone" in found.seen


def test_a_state_of_another_version_fails_as_the_flow_would(tmp_path: Path) -> None:
    state = made(tmp_path)
    with closing(sqlite3.connect(state / "part-0.sqlite3")) as database:
        database.execute("PRAGMA application_id = 1")
        database.execute("INSERT INTO commits (part_index, commit_epoch) VALUES (0, 1)")
        database.commit()
    (found,) = told(state)
    assert found.word == "fail" and "is of another version of this program (format 1" in found.seen


def test_a_pool_that_another_state_used_is_warned_of(tmp_path: Path) -> None:
    state, pool = made(tmp_path), tmp_path / "pool"
    for used_by, word in (("another", "warn"), (state_name(state), "ok")):
        with Pool.open(pool / "shard-0-of-1", PoolSpec()) as shard:
            shard.work_for(Owner(0, 1, used_by), 0)
        found = told(state, pool)[0]
        assert found.word == word and ("was last used with another --state" in found.seen) == (word == "warn")


def test_shards_of_a_pool_that_were_swapped_fail(tmp_path: Path) -> None:
    state, pool = made(tmp_path), tmp_path / "pool"
    for number in range(2):
        with Pool.open(pool / f"shard-{number}-of-2", PoolSpec()) as shard:
            shard.work_for(Owner(number, 2, state_name(state)), 0)
    assert [each.word for each in told(state, pool)[:2]] == ["ok", "ok"]
    (pool / "shard-0-of-2").rename(pool / "aside")
    (pool / "shard-1-of-2").rename(pool / "shard-0-of-2")
    (pool / "aside").rename(pool / "shard-1-of-2")
    for number, found in enumerate(told(state, pool)[:2]):
        assert found.word == "fail" and f"shard-{number}-of-2 is that of shard {1 - number} of 2" in found.seen


def test_a_shard_of_the_pool_that_is_gone_fails_where_the_state_goes_on_from_it(tmp_path: Path) -> None:
    state, pool = made(tmp_path), tmp_path / "pool"
    with Pool.open(pool / "shard-0-of-2", PoolSpec()) as shard:
        shard.work_for(Owner(0, 2, state_name(state)), 0)
    pooled(state, 2, {0: 7, 1: 0})
    assert {each.word for each in told(state, pool)} == {"ok"}, "the other one has taken nothing yet"
    pooled(state, 3, {1: 9})
    *_, gone = told(state, pool)
    assert gone.word == "fail" and f"{pool}/shard-1-of-2 is gone, and {state} goes on from it" in gone.seen
    with pytest.raises(PoolError, match="put it back, or delete"):  # the dataflow does not begin
        check_pool(pool, state)


def test_keys_that_are_damaged_or_of_two_pairs_fail(tmp_path: Path) -> None:
    for name in ("ours", "others"):
        keys_in(tmp_path / name)

    def keys() -> Finding:
        return on_disk(tmp_path / "ours", tmp_path / "none", tmp_path / "none")[0]

    assert keys().word == "ok"
    shutil.copy(tmp_path / "others" / PUBLIC, tmp_path / "ours" / PUBLIC)
    assert keys().word == "fail" and "does not belong to cloud.key" in keys().seen
    (tmp_path / "ours" / PRIVATE).unlink()
    assert keys().word == "ok", "a device has no more than that"
    (tmp_path / "ours" / PUBLIC).write_text("12345")
    assert keys().word == "fail" and "cannot read the key file" in keys().seen
