"""The demo from end to end on a slice of a real log, and how it ends when it is not let finish."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from monitor.state import State
from streams.logs.data import NAMED_LOGS, get_log
from streams.logs.event_log import load_log
from wire.task import ARMS

ROOT = Path(__file__).parents[3]
EVENTS = 2500  # the first of the log: some twenty users


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The beginning of a real log; a row of it may not be kept in this repository, so it is fetched."""
    path = tmp_path_factory.mktemp("log") / "slice.parquet"
    pl.read_parquet(get_log(NAMED_LOGS["ml-100k"])).head(EVENTS).write_parquet(path)
    return path


def start(log: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "streams.cli",
        "demo",
        "--log",
        str(log),
        "--out",
        str(out),
        "--live",
        "4s",
        *more,
    ]
    own = os.environ | {"XDG_CACHE_HOME": str(out.with_name("cache"))}  # what is made of the log is of no later use
    return subprocess.Popen(command, cwd=ROOT, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children]


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def children_named(demo: subprocess.Popen[str], command: str, within_s: float = 60) -> list[int]:
    """The demo's child that runs `command`, waited for."""
    end_s = time.monotonic() + within_s
    while demo.poll() is None and time.monotonic() < end_s:
        if found := [pid for pid in descendants(demo.pid) if f"streams.child {command}" in command_of(pid)]:
            return found
        time.sleep(0.1)
    pytest.fail(f"the demo never started {command}: {demo.stderr.read() if demo.stderr else ''}")


def assert_gone(pids: list[int]) -> None:
    end_s = time.monotonic() + 10
    while any("streams." in command_of(pid) for pid in pids):
        assert time.monotonic() < end_s, "a child outlived the demo"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def finished(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], Path, str]]:
    out = tmp_path_factory.mktemp("demo") / "run"
    demo = start(log, out, "--json", "--seed", "5")
    said, lines = demo.communicate(timeout=200)
    assert demo.returncode == 0, lines
    yield msgspec.json.decode(said), out, lines


def test_every_event_and_every_push_is_accounted_for(finished: tuple[dict[str, Any], Path, str]) -> None:
    result, _, _ = finished
    accounts = result["accounting"]
    assert result["ok"]
    assert accounts["produced"] == EVENTS
    assert accounts["pooled"] + accounts["waiting"] + sum(accounts["rejected"].values()) == EVENTS
    assert accounts["pushes"] == sum(accounts["push_outcomes"].values()) > 0


def test_canaries_came_back_and_count_nowhere_else(finished: tuple[dict[str, Any], Path, str]) -> None:
    result, out, _ = finished
    canaries = result["last_state"]["canaries"]
    assert canaries["arrived"] > 0 and "lost" not in canaries
    assert not any("canary" in user for user in pl.read_parquet(out / "fleet" / "predictions.parquet")["user_id"])
    assert "canary" not in result["last_state"]["matches"]


def test_devices_added_to_what_the_strongest_global_model_expected(finished: tuple[dict[str, Any], Path, str]) -> None:
    _, out, lines = finished
    assert "personal models add to a regression on streamed features" in lines and "GAUC online 0." in lines
    config = msgspec.json.decode((out / "config.json").read_bytes())
    said = load_log(Path(config["log"]["path"]))
    predictions = pl.read_parquet(out / "fleet" / "predictions.parquet").join(said, on="event_id")
    expected = 1 / (1 + (-predictions["base"]).exp())
    assert len(predictions) > 0 and (predictions["cloud"] - expected).abs().max() < 1e-5  # type: ignore[operator]


def test_every_arm_predicted_every_event_of_the_live_part(finished: tuple[dict[str, Any], Path, str]) -> None:
    result, out, _ = finished
    assert result["base"] == "online", "its history is too short for trees"
    assert result["arms"].keys() == {"online", *ARMS} - {"cloud", "coarse"}
    predictions = pl.read_parquet(out / "fleet" / "predictions.parquet")
    assert len(predictions) == result["last_state"]["predictions"] > 0
    assert predictions["event_id"].is_unique().all()
    for arm in ("cloud", "local", "random", "mpda", "coda"):
        assert predictions[arm].is_between(0, 1).all()


def test_a_version_went_out_and_devices_learned(finished: tuple[dict[str, Any], Path, str]) -> None:
    result, out, _ = finished
    assert result["last_state"]["cloud_versions"] == 1, "its live part is too short for the trainer to try another"
    assert result["last_state"]["trainings"]["accepted"] > 0
    versions = pl.read_parquet(out / "fleet" / "predictions.parquet")["version"]
    assert versions.min() == 1


def test_the_run_folder_holds_what_the_run_was(finished: tuple[dict[str, Any], Path, str]) -> None:
    result, out, lines = finished
    config = msgspec.json.decode((out / "config.json").read_bytes())
    assert config["settings"]["seed"] == 5
    assert config["packages"]["torch"]
    assert msgspec.json.decode((out / "result.json").read_bytes()) == result
    states = [msgspec.json.decode(line, type=State) for line in (out / "timeline.jsonl").read_bytes().splitlines()]
    assert [s.elapsed_s for s in states] == sorted(s.elapsed_s for s in states)
    assert "</html>" in (out / "report.html").read_text()
    assert str(out / "report.html") in lines


def test_plain_lines_tell_the_phases_where_there_is_no_terminal(finished: tuple[dict[str, Any], Path, str]) -> None:
    _, _, lines = finished
    at = [lines.index(phase) for phase in ("brokers", "first cloud model", "history", "live stream", "drain", "report")]
    assert at == sorted(at)


def test_all_processes_ended_cleanly(finished: tuple[dict[str, Any], Path, str]) -> None:
    result, _, _ = finished
    assert result["exit_codes"] == {
        "canary": 143,
        "history": 0,
        "live": 0,
        "fleet": 143,
        "tunnel": 143,
        "flow": 143,
        "train-cloud": 143,
    }


def test_ctrl_c_ends_everything_cleanly_and_leaves_a_report(log: Path, tmp_path: Path) -> None:
    with start(log, tmp_path / "run") as demo:
        pids = [pid for command in ("train-cloud", "fleet") for pid in children_named(demo, command)]
        demo.send_signal(signal.SIGINT)
        _, lines = demo.communicate(timeout=60)
    assert demo.returncode == 130, lines
    assert "Traceback" not in lines
    assert f"ended early; open {tmp_path / 'run' / 'report.html'}" in lines
    assert "ended early" in (tmp_path / "run" / "report.html").read_text()
    assert_gone(pids)


def test_a_child_that_dies_ends_the_demo_with_its_name_and_its_log(log: Path, tmp_path: Path) -> None:
    with start(log, tmp_path / "run") as demo:
        (tunnel,) = children_named(demo, "tunnel")
        (fleet,) = children_named(demo, "fleet")
        os.kill(tunnel, signal.SIGKILL)
        _, lines = demo.communicate(timeout=60)
    assert demo.returncode == 1, lines
    assert "Traceback" not in lines
    assert "coda: tunnel ended with exit code -9 after" in lines
    assert str(tmp_path / "run" / "tunnel.log") in lines
    assert_gone([tunnel, fleet])


def test_a_run_folder_that_holds_something_is_left_alone(log: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with start(log, tmp_path) as demo:
        _, lines = demo.communicate(timeout=60)
    assert demo.returncode == 2
    assert "already holds something: give another folder with --out" in lines
    assert (tmp_path / "mine.txt").read_text() == "keep"
