"""A run by hand has a report like any other, from what was recorded of it."""

from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from streams.cli import run
from streams.report.folder import NOT_ENDED, read_run
from streams.watch.recording import Recorder
from tests.streams.watch.statuses import frontier, pooled, status
from wire.errors import InputError
from wire.status import Role, encode_status
from wire.task import ARMS

BOUNDS = (0.1, 1.0)


def record(folder: Path, *, ends: bool = True) -> Path:
    """Twenty seconds of a flow of which nobody saw the first hour, then of a fleet."""
    with Recorder(folder) as recorder:
        for second in range(3600, 3620):
            counted = pooled(second) | {"coda_samples_waiting": {"": 3.0}}
            ages = {"pooled": (second - 3600, 0, 1000)}
            said = status(
                at_s=second,
                values=counted,
                ages=ages,
                frontiers=(frontier("pooled", second, second + 1, second),),
                ended=ends and second == 3619,
                age_bounds_s=BOUNDS,
            )
            recorder.take(encode_status(said), second * 1000)
        replay = status(Role.REPLAY, "log", at_s=3619, values={"coda_events_produced_total": {"": 3622.0}}, ended=True)
        recorder.take(encode_status(replay), 3_619_000)
    return folder


def test_its_figures_are_those_that_its_processes_told(tmp_path: Path) -> None:
    found = read_run(record(tmp_path / "mine"))
    assert found.name == "mine" and len(found.states) == 20
    assert (found.accounts.produced, found.accounts.pooled, found.accounts.waiting) == (3622, 3619, 3)
    assert found.accounts.discrepancies() == [] and list(found.problems) == []
    assert found.freshness["pooled"].count == 19 and found.freshness["pooled"].p99_s <= 0.1, "of what was seen, alone"


def test_a_run_that_was_cut_off_says_so(tmp_path: Path) -> None:
    assert list(read_run(record(tmp_path, ends=False)).problems) == [NOT_ENDED]


def test_the_predictions_of_a_fleet_in_the_same_folder_are_compared(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    users = [f"u{n % 20}" for n in range(400)]
    scores = {arm: rng.random(400) for arm in ARMS}
    table = {"user_id": users, "label": rng.integers(0, 2, 400), "timestamp": range(400), **scores}
    record(tmp_path)
    pl.DataFrame(table).write_parquet(tmp_path / "predictions.parquet")
    assert read_run(tmp_path).arms.keys() == set(ARMS)


def test_the_command_makes_the_page_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", str(record(tmp_path / "mine"))]) == 0
    page = tmp_path / "mine" / "report.html"
    assert capsys.readouterr().out == f"{page}\n"
    text = page.read_text()
    assert "3,622" in text and "</html>" in text and 'name="viewport"' in text
    assert "rate/pooled" in text, "the dashboard of the run is in it"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "has no status.jsonl"),
        ({"config.json": b"{}"}, "is damaged, or a run of another version"),
        ({"config.json": b"[]"}, "is damaged, or a run of another version"),
        ({"config.json": b'{"settings": 3}', "timeline.jsonl": b"{}"}, "is damaged, or a run of another version"),
        ({"config.json": b'{"settings": {}}', "timeline.jsonl": b'{"lag_events": 3}\n[]'}, "of another version"),
        ({"config.json": b'{"settings": {}}', "timeline.jsonl": b""}, "is empty"),
    ],
)
def test_a_folder_that_holds_no_run_is_told_in_one_line(tmp_path: Path, files: dict[str, bytes], said: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_run(tmp_path)


def test_a_demo_that_was_killed_has_its_last_words_reported(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(msgspec.json.encode({"settings": {"log": "mine.csv", "scenario": None}}))
    (tmp_path / "timeline.jsonl").write_bytes(b'{"elapsed_s": 1.0, "produced": 5}\n')
    found = read_run(tmp_path)
    assert found.name == "demo on mine.csv" and list(found.problems) == [NOT_ENDED] and found.accounts.produced == 5
