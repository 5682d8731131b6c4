"""Times that are dates or text: formats are found, and those without a zone are in the zone said."""

from pathlib import Path

import pytest

from streams.logs.event_log import load_log, survey
from streams.logs.options import LogOptions


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "a.csv").write_text(text)
    return tmp_path / "a.csv"


@pytest.mark.parametrize(
    ("written", "ms"),
    [
        ("20200203", 1_580_688_000_000),
        ("20200203101500", 1_580_724_900_000),
        ("20200203101500.0", 1_580_724_900_000),
        ("20200203101500250", 1_580_724_900_250),
        ("202002031015", 1_580_724_900_000),
        ("2020020310", 1_580_724_000_000),
        ("202002", 1_580_515_200_000),
        ("200213", 1_581_552_000_000),
        ("20020310", 1_015_718_400_000),
        ("14102103", 1_413_860_400_000),
        ("2020-02-03 10", 1_580_724_000_000),
        ("2020-02", 1_580_515_200_000),
        ("2/13/20 10:15", 1_581_588_900_000),
        ("13.02.20", 1_581_552_000_000),
        ("13-Feb-20 1:15 AM", 1_581_556_500_000),
        ("20200203T101500Z", 1_580_724_900_000),
        ("2020-02-03T10:15:00+02:00", 1_580_717_700_000),
        ("2020-02-03T10:15+02:00", 1_580_717_700_000),
        ("2020-02-03T10:15Z", 1_580_724_900_000),
        ('"Mon, 03 Feb 2020 10:15:00 GMT"', 1_580_724_900_000),
        ("03/Feb/2020:10:15:00 +0000", 1_580_724_900_000),
        ("Mon Feb 03 10:15:00 +0000 2020", 1_580_724_900_000),
        ("Mon Feb 3 10:15:00 2020", 1_580_724_900_000),
        ('"Feb 3, 2020"', 1_580_688_000_000),
        ("3 Feb 2020 10:15", 1_580_724_900_000),
        ("2/13/2020 1:15 AM", 1_581_556_500_000),
    ],
)
def test_ways_to_write_a_time(written: str, ms: int, tmp_path: Path) -> None:
    path = write(tmp_path, f"user,item,label,time\nu,i,1,{written}\n")
    assert load_log(path)["timestamp"].to_list() == [ms]


def test_times_without_a_zone_are_in_the_zone_said(tmp_path: Path) -> None:
    path = write(tmp_path, "user,item,label,time\nu,i,1,2020-07-01 12:00:00\nu,i,1,2020-07-01T12:00:00Z\n")
    assert load_log(path, LogOptions(time_zone="Europe/Berlin"))["timestamp"].to_list() == [
        1_593_597_600_000,
        1_593_604_800_000,
    ]


def test_seconds_that_are_left_out_where_they_are_0_cost_no_row(tmp_path: Path) -> None:
    times = ("2020-02-03T10:14:59.5Z", "2020-02-03T10:15Z", "2020-02-03T12:15:01+02:00")
    path = write(tmp_path, "user,item,label,time\n" + "".join(f"u,i,1,{time}\n" for time in times))
    assert load_log(path)["timestamp"].to_list() == [1_580_724_899_500, 1_580_724_900_000, 1_580_724_901_000]


def test_a_format_said_is_the_format_taken(tmp_path: Path) -> None:
    path = write(tmp_path, "user,item,label,time\nu,i,1,20200203\nu,i,1,20200204\n")
    assert load_log(path, LogOptions(time_format="%Y%m%d"))["timestamp"].to_list() == [1580688000000, 1580774400000]


def test_a_log_without_any_time_is_told_row_by_row(tmp_path: Path) -> None:
    found = survey(write(tmp_path, "user,item,label,time\nu,i,1,\nu,j,0,\n"))
    assert (found.events, found.rejected) == (0, 2)
