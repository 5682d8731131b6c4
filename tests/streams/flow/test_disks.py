"""The dataflow on disks that are full, and on a state that is damaged: one line, nothing lost, and a way to go on."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.doctor.disk import on_disk
from streams.kafka.embedded import EmbeddedKafka
from tests.disks import fill_up, small_disk
from tests.streams.flow.world import Flow, World, keys, stream, wait_until


@pytest.fixture
def world() -> Iterator[World]:
    with EmbeddedKafka() as kafka:
        yield World(kafka.bootstrap)


def failures(said: str) -> list[str]:
    """What was said beside what is logged in passing, by us and by Bytewax's workers that look for each other."""
    return [line for line in said.splitlines() if not any(word in line for word in ("[info", "[warning", "worker "))]


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("full", ["pool", "state"])
def test_a_disk_that_fills_up_ends_it_in_one_line_and_with_room_it_goes_on(
    world: World, tmp_path: Path, full: str, processes: int
) -> None:
    world.publish()
    first, second = stream(100), stream(400, first=100)
    (tmp_path / "flow").mkdir()
    with (
        small_disk(tmp_path / "flow" / full, 4 << 20) as disk,
        Flow(world, tmp_path / "flow", "--processes", str(processes)) as flow,
    ):
        world.send(first)
        world.drained()
        filled = fill_up(disk)
        for at in range(0, 400, 20):
            world.send(second[at : at + 20])
        assert flow.ended() == 1
        said = failures(flow.said())
        assert len(said) <= processes and all(line.startswith("coda") for line in said), "one line of each process"
        told = [line for line in said if f"{disk}" in line]
        assert told and all("No space left on device" in line and "make room on that disk" in line for line in told)
        filled.unlink()
        flow.start()
        world.drained()
        wait_until(lambda: len(world.samples()) >= 500, "everything to be pooled")
        assert flow.stop() == 130
        assert sorted(flow.pooled()) == sorted(keys([*first, *second]))


def overwrite(file: Path) -> None:
    file.write_bytes(b"\xa5" * 5000)


def put_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


DAMAGE: dict[str, Callable[[Path], None]] = {
    "cut in half": lambda file: os.truncate(file, file.stat().st_size // 2),
    "cut within a page": lambda file: os.truncate(file, 5000),
    "emptied": lambda file: os.truncate(file, 0),
    "overwritten": overwrite,
    "a folder": put_a_folder,
}


def test_a_damaged_state_is_one_line_and_without_it_nothing_is_lost(world: World, tmp_path: Path) -> None:
    world.publish()
    events = stream(300)
    world.send(events[:200])
    with Flow(world, tmp_path) as flow:
        world.drained()
        assert flow.stop() == 130
        shutil.copytree(tmp_path / "state", tmp_path / "whole")
        for damage, act in DAMAGE.items():
            flow.log.write_text("")
            act(tmp_path / "state" / "part-0.sqlite3")
            flow.start()
            assert flow.ended() == 2, damage
            (said,) = failures(flow.said())
            assert f"coda: the flow's state {tmp_path / 'state'} is damaged (part-0.sqlite3: " in said, damage
            assert "delete that folder" in said
            shutil.rmtree(tmp_path / "state")
            shutil.copytree(tmp_path / "whole", tmp_path / "state")
        shutil.rmtree(tmp_path / "state")
        world.send(events[200:])
        flow.start()
        world.drained()
        assert flow.stop() == 130
    assert sorted(flow.pooled()) == sorted(keys(events))


def test_the_doctor_looks_at_a_state_that_a_crash_left_and_at_none_that_is_in_use(world: World, tmp_path: Path) -> None:
    def told() -> list[str]:
        return [str(each) for each in on_disk(tmp_path, tmp_path / "pool", tmp_path / "state")[1:]]

    world.publish()
    world.send(stream(200))
    with Flow(world, tmp_path) as flow:
        world.drained()
        assert "is that of a flow that runs: what is in it was not looked at" in told()[-1]
        flow.kill()
        pool, state, states = told()
        assert pool.startswith("ok") and state.startswith("ok")
        assert states.startswith(f"ok    states: {tmp_path}/state/states-0-of-1: 12 users as of checkpoint ")
        world.send(stream(100, first=200))
        flow.start()
        world.drained()
        assert flow.stop() == 130, "it was left as it was"
    assert sorted(flow.pooled()) == sorted(keys(stream(200) + stream(100, first=200)))
    shutil.rmtree(tmp_path / "state" / "states-0-of-1")
    assert "is damaged (the states of shard 0 are gone)" in told()[-1]


def test_a_second_flow_on_one_state_is_told(world: World, tmp_path: Path) -> None:
    world.publish()
    with Flow(world, tmp_path) as flow, Flow(world, tmp_path) as second:
        codes = [flow, second]
        wait_until(lambda: any(each.process.exitcode is not None for each in codes), "one of them to end")
        assert [each.process.exitcode for each in codes].count(1) == 1
        assert f"{tmp_path / 'state'} is in use by another process: stop that one" in flow.said()
