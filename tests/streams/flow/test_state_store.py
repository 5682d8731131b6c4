"""One contract for a shard's states on RocksDB and on the simulator's disk, with a dictionary as the oracle."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rocksdict import Rdict

from index.database import options
from streams.flow.state import prepare_state
from streams.flow.state_shards import StateShards
from streams.flow.state_store import StateStore
from streams.simulation.flow import SimulatedStates
from streams.simulation.memory_db import Disk
from wire.errors import InputError, StorageError

Again = Callable[[], StateStore]  # the store, opened anew


@pytest.fixture(params=["rocksdb", "simulated"])
def again(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Again]:
    disk, opened = Disk(), list[StateShards]()

    def store() -> StateStore:
        for before in opened:
            before.close()
        opened.append(StateShards(tmp_path, 1) if request.param == "rocksdb" else SimulatedStates(disk, 1))
        return opened[-1].of(0).users

    yield store
    for before in opened:
        before.close()


def begun(store: StateStore, checkpoint: int | None = None) -> list[bytes]:
    states = dict(store.resume(checkpoint))
    assert all(store.get(user) == state for user, state in states.items())
    return list(states.values())


def test_goes_on_from_the_last_checkpoint_or_the_one_before(again: Again) -> None:
    store = again()
    assert begun(store) == []
    assert store.save({"ann": b"1", "bob": b"1"}, 2) == 1
    assert store.save({"ann": b"2", "eve": b"2", "bob": None}, 2) == 2
    store = again()
    assert begun(store, 1) == [b"1", b"1"] and store.checkpoint == 1
    assert store.save({"ann": b"3"}, 2) == 3, "what came after the checkpoint it went on from is as if it had not been"
    assert begun(again(), 3) == [b"3", b"1"]
    assert begun(again(), 3) == [b"3", b"1"], "and again"


def test_a_checkpoint_of_which_nothing_became_is_the_one_that_counted_then(again: Again) -> None:
    """A snapshot that Bytewax did not count may come up again, instead of the one that it did."""
    store = again()
    begun(store)
    store.save({"ann": b"1"}, 1), store.save({"ann": b"2"}, 1)
    assert begun(again(), 1) == [b"1"]
    store = again()
    assert begun(store, 2) == [b"1"] and store.checkpoint == 1, "nothing was saved since"
    assert store.save({"ann": b"3"}, 1) == 3
    store = again()
    assert begun(store, 2) == [b"1"], "what was saved since was not counted"
    assert store.save({"ann": b"4"}, 1) == 4 and store.save({"ann": b"5"}, 1) == 5
    with pytest.raises(InputError, match="damaged"):
        begun(again(), 2)
    assert begun(again(), 4) == [b"4"]


def test_a_dataflow_without_a_snapshot_begins_with_nobody(again: Again) -> None:
    store = again()
    begun(store)
    store.save({"ann": b"1"}, 1), store.save({"ann": b"2"}, 1)
    store = again()
    assert begun(store) == [] and store.save({"bob": b"1"}, 1) == 3
    assert begun(again(), 3) == [b"1"]


@pytest.mark.parametrize("simulated", [True, False])
def test_users_and_items_of_a_shard_go_on_each_from_a_checkpoint_of_its_own(simulated: bool, tmp_path: Path) -> None:
    disk = Disk()

    def opened() -> StateShards:
        return SimulatedStates(disk, 1) if simulated else StateShards(tmp_path, 1)

    with opened() as shards:
        users, items = shards.of(0).users, shards.of(0).items
        assert begun(users) == begun(items) == []
        assert users.save({"7": b"user 1"}, 1) == 1 and items.save({"7": b"item 1", "8": b"item 1"}, 2) == 1
        assert users.save({"7": b"user 2"}, 1) == 2, "nothing came of items"
        assert users.save({"7": b"user 3"}, 1) == 3 and items.save({"7": b"item 2"}, 2) == 2
    with opened() as shards:
        assert begun(shards.of(0).items, 1) == [b"item 1", b"item 1"]
        assert begun(shards.of(0).users, 3) == [b"user 3"]
    with opened() as shards:
        assert begun(shards.of(0).items) == [], "began anew"
        assert begun(shards.of(0).users, 3) == [b"user 3"]
        shards.of(0).items.save({"7": b"item 3"}, 1)
    with opened() as shards:
        assert begun(shards.of(0).users) == [] and begun(shards.of(0).items, 3) == [b"item 3"]


@pytest.mark.parametrize("checkpoint", [0, 1, 4])
def test_any_other_checkpoint_is_refused(again: Again, checkpoint: int) -> None:
    store = again()
    begun(store)
    for at in range(3):
        store.save({"ann": b"%d" % at}, 1)
    with pytest.raises(InputError, match=rf"damaged \(states-0-of-1: users are at .* 3, not {checkpoint}\).*delete"):
        begun(again(), checkpoint)
    assert begun(again(), 3) == [b"2"], "which changes nothing"


changes = st.dictionaries(
    st.sampled_from(["ann", "anna", "\x00", "b\xe9b", "u", "\U0010ffff"]), st.binary(max_size=4) | st.none()
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(changes | st.sampled_from([0, 1]), max_size=12))
def test_is_a_dictionary_whatever_crashes(again: Again, plan: list[dict[str, bytes | None] | int]) -> None:
    store = again()
    begun(store)
    checkpoints = [(store.checkpoint, dict[str, bytes]())]  # those that the dataflow may go on from
    for step in plan:
        if isinstance(step, dict):
            after = {**checkpoints[-1][1], **step}
            now = {user: state for user, state in after.items() if state is not None}
            checkpoints = [checkpoints[-1], (store.save(step, len(now)), now)]
            assert all(store.get(user) == state for user, state in now.items())
        else:
            checkpoints = [checkpoints[-1 - min(step, len(checkpoints) - 1)]]
            ((checkpoint, states),) = checkpoints
            store = again()
            assert begun(store, checkpoint) == [
                state for _, state in sorted((u.encode(), s) for u, s in states.items())
            ]


def test_a_power_cut_takes_nothing_that_was_saved() -> None:
    disk = Disk()
    store = SimulatedStates(disk, 1).of(0).users
    begun(store)
    store.save({"ann": b"1"}, 1), store.save({"ann": b"2"}, 1)
    disk.power_cut(0.0)
    assert begun(SimulatedStates(disk, 1).of(0).users, 1) == [b"1"]
    disk.power_cut(0.0)  # takes that it went on from 1
    assert begun(SimulatedStates(disk, 1).of(0).users, 1) == [b"1"]


def test_a_full_disk_is_told_in_one_line_and_changes_nothing() -> None:
    disk = Disk()
    store = SimulatedStates(disk, 1).of(0).users
    begun(store)
    store.save({"ann": b"1"}, 1)
    disk.full = True
    with pytest.raises(StorageError, match=f"states-0-of-1: {os.strerror(errno.ENOSPC)}: make room"):
        store.save({"ann": b"2"}, 1)
    disk.full = False
    assert begun(SimulatedStates(disk, 1).of(0).users, 1) == [b"1"]


def test_users_that_are_gone_are_missed(tmp_path: Path) -> None:
    with StateShards(tmp_path, 1) as shards:
        begun(shards.of(0).users)
        for _ in range(2):
            shards.of(0).users.save({"ann": b"1", "bob": b"1"}, 2)
    database = Rdict(str(tmp_path / "states-0-of-1"), options())
    database.delete(b"usbob")
    database.close()
    with StateShards(tmp_path, 1) as shards, pytest.raises(InputError, match=r"1 of 2 users can be read.*delete"):
        begun(shards.of(0).users, 1)


@pytest.mark.parametrize("kind", ["*.log", "*.sst", "MANIFEST-*", "CURRENT"])
def test_damage_is_told_in_one_line(kind: str, tmp_path: Path) -> None:
    with StateShards(tmp_path / "a", 1) as shards:
        begun(shards.of(0).users)
        for _ in range(3):
            shards.of(0).users.save({f"user-{n}": os.urandom(500) for n in range(200)}, 200)
        if kind == "*.sst":
            database: Any = shards.of(0).users._db
            database.flush()
        shutil.copytree(tmp_path / "a", tmp_path / "b")  # as a crash leaves it
    for file in (tmp_path / "b" / "states-0-of-1").glob(kind):
        file.write_bytes(b"\xa5" * 2000)
    with StateShards(tmp_path / "b", 1) as shards, pytest.raises(InputError, match=r"is damaged.*delete"):
        begun(shards.of(0).users, 3)


def test_a_user_that_is_gone_is_told(tmp_path: Path) -> None:
    with StateShards(tmp_path, 1) as shards:
        store = shards.of(0).users
        begun(store)
        store.save({"ann": b"1"}, 1), store.save({"bob": b"1"}, 2)
        store._db.delete(b"usann")
        with pytest.raises(InputError, match=r"one of the users cannot be read.*delete"):
            store.get("ann")


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside), other.rename(one), aside.rename(other)


def test_the_users_of_another_shard_are_refused_and_kept(tmp_path: Path) -> None:
    with StateShards(tmp_path, 2) as shards:
        for shard in range(2):
            begun(shards.of(shard).users)
            shards.of(shard).users.save({f"of-{shard}": b"1"}, 1)
    swap(tmp_path / "states-0-of-2", tmp_path / "states-1-of-2")
    for checkpoint in (1, None):
        with (
            StateShards(tmp_path, 2) as shards,
            pytest.raises(InputError, match=r"states-0-of-2 is that of shard 1 of 2: put each folder back"),
        ):
            begun(shards.of(0).users, checkpoint)
    swap(tmp_path / "states-0-of-2", tmp_path / "states-1-of-2")
    with StateShards(tmp_path, 2) as shards:
        assert [begun(shards.of(shard).users, 1) for shard in range(2)] == [[b"1"], [b"1"]]


def test_the_users_of_another_state_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        prepare_state(tmp_path / name)
        with StateShards(tmp_path / name, 1) as shards:
            begun(shards.of(0).users)
            shards.of(0).users.save({"ann": name.encode()}, 1)
    swap(tmp_path / "a" / "states-0-of-1", tmp_path / "b" / "states-0-of-1")
    with StateShards(tmp_path / "a", 1) as shards, pytest.raises(InputError, match=r"is that of another state.*delete"):
        begun(shards.of(0).users, 1)


def test_a_store_that_another_process_has_is_told(tmp_path: Path) -> None:
    with StateShards(tmp_path, 1) as shards:
        shards.of(0)
        with StateShards(tmp_path, 1) as others, pytest.raises(StorageError, match=r"open in another process.*--state"):
            others.of(0)
