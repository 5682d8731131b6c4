"""Times that are numbers: their unit is found from the years they are then of, or said."""

from pathlib import Path

import pytest

from streams.logs.event_log import EventLog, load_log, survey
from streams.logs.options import LogOptions

T = 1_433_221_332_117


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "a.csv").write_text(text)
    return tmp_path / "a.csv"


@pytest.mark.parametrize("per_ms", [0.001, 1, 1000, 1_000_000])
@pytest.mark.parametrize("number", [int, float])
def test_the_unit_of_times_is_found(per_ms: float, number: type, tmp_path: Path) -> None:
    ms = [T // 1000 * 1000 + 1000 * n for n in range(50)]
    path = write(tmp_path, "user,item,label,time\n" + "".join(f"u,i,1,{number(at * per_ms)}\n" for at in ms))
    assert load_log(path)["timestamp"].to_list() == ms


@pytest.mark.parametrize(
    ("first", "per_day", "says"),
    [
        (17_532 * 1440, 1440, "minutes since 1970"),
        (17_532 * 24, 24, "hours since 1970"),
        (17_532, 1, "days since 1970"),
        (17_532.25, 1, "days since 1970"),
        (43_101, 1, "days since 1899-12-30"),
        (43_101.75, 1, "days since 1899-12-30"),
    ],
)
def test_long_units_are_found_and_said(first: float, per_day: int, says: str, tmp_path: Path) -> None:
    log = "user,item,label,time\n" + "".join(f"u,i,1,{first + per_day * n}\n" for n in range(9))
    path = write(tmp_path, log)
    began = 1_514_764_800_000 + int(first % 1 * 86_400_000)  # 2018-01-01
    assert says in str(EventLog(path))
    assert load_log(path)["timestamp"].to_list() == [began + 86_400_000 * n for n in range(9)]


def test_spreadsheets_write_times_of_their_own_zone(tmp_path: Path) -> None:
    path = write(tmp_path, "user,item,label,time\nu,i,1,43282.5\n")  # 2018-07-01, noon
    assert load_log(path, LogOptions(time_zone="Europe/Berlin"))["timestamp"].to_list() == [1_530_439_200_000]


def test_a_unit_said_counts_from_any_beginning(tmp_path: Path) -> None:
    path = write(tmp_path, "user,item,label,time\nu,i,1,0\nu,i,1,1.5\n")
    assert load_log(path, LogOptions(time_unit="min"))["timestamp"].to_list() == [0, 90_000]


def test_one_row_of_another_unit_is_rejected_alone(tmp_path: Path) -> None:
    path = write(tmp_path, "user,item,label,time\n" + f"u,i,1,{T}\n" * 30 + f"u,i,1,{T // 1000}\n" + "u,i,1,0\n")
    found = survey(path)
    assert (found.events, found.rejected) == (30, 2)
