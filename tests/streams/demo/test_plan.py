"""The demo's plan: where history ends, and command lines that `coda` takes."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from streams.cli import make_app
from streams.demo.plan import (
    INITIAL_SHARE,
    SERVICES,
    Brokers,
    DemoSettings,
    Log,
    checked_log,
    commands,
    open_log,
    paced,
    played,
    side_by_side,
)
from streams.faults.scenario import Scenario, find_scenario
from streams.logs.data import NAMED_LOGS
from streams.logs.event_log import load_log
from streams.logs.options import LogOptions
from wire.errors import InputError

DAY_MS = 86_400_000


def written(folder: Path, timestamps: list[int]) -> Path:
    n = len(timestamps)
    path = folder / "log.csv"
    pl.DataFrame(
        {
            "user_id": [f"u{i % 3}" for i in range(n)],
            "item_id": ["i"] * n,
            "category_id": ["c"] * n,
            "event_type": ["view"] * n,
            "label": [i % 2 for i in range(n)],
            "timestamp": timestamps,
        }
    ).write_csv(path)
    return path


def quiet(_line: str) -> None:
    """Nobody to tell."""


def test_history_is_the_head_of_the_log_by_time(tmp_path: Path) -> None:
    log = open_log(written(tmp_path, [i * DAY_MS for i in range(1, 11)]))
    assert (log.events, log.history, log.users) == (10, int(10 * INITIAL_SHARE), 3)
    assert (log.live_from_ms, log.last_ms) == (7 * DAY_MS, 10 * DAY_MS)
    assert log.speed(30) == pytest.approx(3 * 86_400 / 30)


def test_events_of_the_moment_where_the_live_part_begins_all_belong_to_it(tmp_path: Path) -> None:
    log = open_log(written(tmp_path, [1000, 2000, 2000, 2000, 3000]))
    assert (log.history, log.live_from_ms) == (1, 2000)


def test_a_scenario_plays_the_part_of_its_users_in_the_time_of_the_run(tmp_path: Path) -> None:
    path = written(tmp_path, [20_000 * DAY_MS + i * DAY_MS for i in range(60)])
    whole = played(path, DemoSettings(seconds=30), Scenario(name="mine"), tmp_path)
    assert whole == path, "which is scored once for all runs"
    mine = played(path, DemoSettings(devices=2, seconds=30), Scenario(name="mine", events=30), tmp_path)
    part = paced(open_log(mine), 30, tmp_path)
    assert (part.events, part.users) == (40, 2), "twenty events of each of two users of three"
    assert part.last_ms - part.live_from_ms == pytest.approx(30_000, abs=2)
    assert set(load_log(part.path)["user_id"]) == {"u0", "u1"}
    with pytest.raises(InputError, match="has 3 users: give --devices at most 3"):
        played(path, DemoSettings(devices=4, seconds=30), Scenario(name="mine", events=30), tmp_path)


def test_as_many_devices_as_were_asked_for_are_there_side_by_side_in_a_log_of_users_one_after_the_other() -> None:
    rows = {
        "user_id": [f"u{n // 30}" for n in range(600)],
        "event_id": range(600),
        "timestamp": range(0, 600_000, 1000),
    }
    frame = side_by_side(pl.DataFrame(rows), 20)
    assert len(frame) == 400 and frame["timestamp"].is_sorted()
    assert frame["user_id"].head(20).n_unique() == frame["user_id"].tail(20).n_unique() == 20
    for (user,), events in frame.group_by("user_id"):
        first = 30 * int(str(user)[1:])
        assert events["event_id"].to_list() == list(range(first, first + 20))


def test_a_log_that_cannot_be_split_or_found_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too few distinct times"):
        open_log(written(tmp_path, [1000, 1000, 1000]))
    with pytest.raises(InputError, match="no-such-log"):
        checked_log(DemoSettings("no-such-log"), quiet)


def test_a_log_of_positives_is_told_what_to_do_and_taken_with_negatives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = [f"u{n % 3},i{n},{20_000 * DAY_MS + n}" for n in range(60)]
    (tmp_path / "buys.csv").write_text("\n".join(["user,item,time", *rows]))
    settings = DemoSettings(str(tmp_path / "buys.csv"), options=LogOptions(positive="all"))
    with pytest.raises(InputError, match="with --negatives 2"):
        checked_log(settings, quiet)
    said: list[str] = []
    check, path = checked_log(replace(settings, negatives=2), said.append)
    assert (check.events, load_log(path)["label"].sum(), load_log(path).height) == (60, 60, 178)  # none after the last
    assert any("60 events; 3 users" in line for line in said)
    assert "all events are positives: negatives are sampled, 2 for each" in said


@pytest.mark.parametrize("settings", [DemoSettings(devices=0), DemoSettings(seconds=0)])
def test_settings_that_make_no_sense_are_told(settings: DemoSettings) -> None:
    with pytest.raises(InputError, match="give it at least 1"):
        settings.checked()


@pytest.mark.parametrize(("devices", "classifier"), [(None, False), (7, True)])
def test_every_command_parses_through_our_own_command_line(
    tmp_path: Path, devices: int | None, classifier: bool
) -> None:
    log = Log(tmp_path / "log.csv", 10, 6, 3, 6 * DAY_MS, 10 * DAY_MS)
    brokers = Brokers("127.0.0.1:1", "127.0.0.1:2")
    lines = commands(DemoSettings(devices=devices, base="online", classifier=classifier), log, brokers, tmp_path)
    assert lines.keys() == {*SERVICES, "canary", "history", "live"}
    assert ("--classifier" in lines["train-cloud"]) == classifier
    assert lines["fleet"][-2:] == ("--base", "online")
    for line in lines.values():
        app = make_app(line[0])
        _, bound, ignored = app.parse_args(list(line), exit_on_error=False, print_error=False)
        assert not ignored
        assert bound.arguments["kafka"].bootstrap == brokers.kafka
        if "mqtt" in bound.signature.parameters:
            assert bound.arguments["mqtt"].mqtt == brokers.mqtt


def test_history_and_live_part_share_no_event_and_leave_none_out(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.csv", 10, 6, 3, 6 * DAY_MS, 10 * DAY_MS)
    lines = commands(DemoSettings(), log, Brokers("k:1", "m:2"), tmp_path)
    until = lines["history"][lines["history"].index("--until") + 1]
    since = lines["live"][lines["live"].index("--from") + 1]
    assert until == since == str(log.live_from_ms)


def test_a_scenario_that_breaks_kafka_is_refused_before_anything_starts_on_an_embedded_one() -> None:
    for name in ("kafka-rolling", "kafka-unreachable"):
        scenario = find_scenario(name)
        assert DemoSettings(scenario=scenario, stack="servers").checked().kafka_nodes in (1, 3)
        with pytest.raises(InputError, match=f"{name} breaks Kafka, which is embedded here: give --stack servers"):
            DemoSettings(scenario=scenario).checked()


def test_a_log_by_name_is_called_by_it_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cached = NAMED_LOGS["ml-100k"].path
    cached.parent.mkdir(parents=True)
    pl.read_csv(written(tmp_path, [i * DAY_MS for i in range(1, 31)])).write_parquet(cached)
    check, _ = checked_log(DemoSettings("ml-100k"), quiet)
    assert check.read_as.startswith("ml-100k: ")
