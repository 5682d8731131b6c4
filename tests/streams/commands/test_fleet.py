"""How `coda fleet` is told to end, and who of its devices is there."""

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import polars as pl
import pytest

from device_sim.one_of import all_of
from streams.commands.fleet import _arms_of_dropped, _attendance
from streams.fleet.drop import Drop
from streams.fleet.told import Told
from streams.times import Duration
from tests.streams.fleet.told import told
from wire.errors import InputError

WAITS = """
import asyncio, signal
from streams.commands.fleet_process import _signals

async def never_ends():
    with _signals((signal.SIGINT, signal.SIGTERM), lambda: print("ending", flush=True)):
        print("running", flush=True)
        await asyncio.sleep(60)

asyncio.run(never_ends())
"""


def test_a_second_ctrl_c_ends_a_fleet_whose_end_takes_long() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as fleet:
        assert fleet.stdout is not None and fleet.stderr is not None
        for word in ("running", "ending"):
            assert fleet.stdout.readline().strip() == word
            fleet.send_signal(signal.SIGINT)
        assert fleet.wait(20) == 128 + signal.SIGINT
        assert "it goes on from its last snapshot" in fleet.stderr.read()


@pytest.mark.parametrize(
    ("population", "drop", "lasts", "says"),
    [
        (None, "130%", "60s", "'130%' is no share"),
        (None, "30%", "60", "'60' is no duration"),
        (None, "0%", "60s", "more than nothing"),
        ("overnigt", None, "60s", "did you mean overnight"),
        ("overnight", "30%", "60s", "give one of them"),
    ],
)
def test_what_is_no_way_to_be_away_gets_one_line(
    population: str | None, drop: str | None, lasts: str, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        Duration.parse(lasts)
        _attendance(population, drop, None)


def test_a_drop_is_told_with_what_each_arm_predicted_for_those_that_were_away_and_the_others(tmp_path: Path) -> None:
    drop = Drop(0.5, 10.0, 1)
    users = [f"user-{n % 20}" for n in range(400)]
    labels = [n // 20 % 2 for n in range(400)]
    coda = [0.9 if label and user in drop.members else 0.1 for user, label in zip(users, labels, strict=True)]
    frame = {"user_id": users, "label": labels, "timestamp": range(400), "cloud": [0.5] * 400, "coda": coda}
    pl.DataFrame(frame).write_parquet(tmp_path / "predictions.parquet")
    arms = _arms_of_dropped(told(tmp_path, drop=0.5, base="boosted"))
    assert {who: arms[who]["coda"]["gauc"] for who in arms} == {"dropped": 1.0, "others": 0.5}


def test_without_predictions_a_drop_has_no_arms(tmp_path: Path) -> None:
    assert _arms_of_dropped(told(tmp_path, drop=0.5)) == {}


def test_a_process_gets_its_part_of_the_devices_and_folders_and_the_beginning_of_all(tmp_path: Path) -> None:
    said = msgspec.json.decode(msgspec.json.encode(told(tmp_path, devices=5, processes=2, people=({"day": "1h"}, "x"))))
    both = [msgspec.convert(said, Told).settings(one) for one in all_of(2)]
    assert [each.devices for each in both] == [3, 2]
    assert [each.out.name for each in both] == ["process-0-of-2", "process-1-of-2"]
    populations = [each.orders.look(None, 5_000) for each in both]  # type: ignore[arg-type]
    assert [each.since_ms for (each,) in populations] == [1, 1]
