"""`coda data` with a user's own log."""

from pathlib import Path

import polars as pl
import pytest

from models.scores import auc
from streams.cli import run
from streams.logs.event_log import EventLog, load_log
from tests.streams.evaluation.world import taste_log

LOG = "visitorid,itemid,event,timestamp,price\nu,i,view,1500000002,1\nu,j,buy,1500000001,2\nv,k,buy,1500000003,3\n"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.csv").write_text(LOG)
    return tmp_path / "shop.csv"


def test_a_log_of_ones_own_becomes_one_that_every_command_reads(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "get", str(log), "--positive", "buy"]) == 0
    path = Path(capsys.readouterr().out.splitlines()[-1])
    assert EventLog(path).is_uniform
    rows = pl.read_parquet(path).select("user_id", "item_id", "label", "timestamp", "price").rows()
    assert rows == [
        ("u", "j", 1, 1_500_000_001_000, "2"),
        ("u", "i", 0, 1_500_000_002_000, "1"),
        ("v", "k", 1, 1_500_000_003_000, "3"),
    ]


def test_negatives_for_a_log_of_ones_own(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "get", str(log), "--positive", "buy", "--negatives", "1"]) == 0
    labels = pl.read_parquet(capsys.readouterr().out.splitlines()[-1])["label"]
    assert (labels.len(), labels.sum()) == (3, 2)  # after the last one nothing was taken


def test_settings_may_come_from_the_file(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("coda.toml").write_text('[data.check]\npositive = "buy"\ncolumn = ["user_id=visitorid"]\n')
    assert run(["data", "check", str(log)]) == 0
    said = capsys.readouterr().out
    assert "user_id=visitorid" in said and "2 positives (66.7%)" in said and "out of order 1" in said


def test_what_is_missing_is_one_line_and_exit_2(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "check", str(log)]) == 2
    assert "--positive buy" in capsys.readouterr().err


@pytest.mark.parametrize("json", [(), ("--json",)])
def test_a_log_without_one_event_is_exit_2(
    log: Path, json: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_text("user_id,item_id,label,timestamp\n,i,1,1500000000000\n")
    assert run(["data", "check", str(log), *json]) == 2
    assert "no event can be read" in capsys.readouterr().out


def shop(folder: Path, events: int) -> Path:
    """Users like one of five categories and dislike another."""
    path = folder / "shown.parquet"
    taste_log(events).drop("event_id", "base").write_parquet(path)
    return path


def test_a_scored_log_says_what_trees_expected_and_what_to_do_with_it(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("data", "score", str(shop(tmp_path, 3200)), "--out", "scored.parquet")
    assert run(words) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "scored.parquet"
    assert "base: boosted trees on streamed features" in said.err and "µs of a core an event" in said.err
    assert "the first 1,920 have no base" in said.err, "a quarter of them is too few for trees, and so are three"
    assert "next: coda evaluate scored.parquet, or live: coda demo --log scored.parquet" in said.err
    scored = load_log(Path("scored.parquet"))
    live = scored.tail(1280)
    assert live["base"].is_not_null().all() and auc(live["label"].to_numpy(), live["base"].to_numpy()) > 0.6
    assert run(words) == 2
    assert "scored.parquet is there already" in capsys.readouterr().err


def test_where_nothing_can_be_written_it_is_told_before_the_work(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "score", str(shop(tmp_path, 200)), "--out", "/proc/scored.parquet"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("coda: /proc/") and "No such file" in line


def test_the_command_to_go_on_with_can_be_pasted(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "score", str(shop(tmp_path, 200)), "--out", "my log.parquet"]) == 0
    assert "next: coda evaluate 'my log.parquet', or live: coda demo --log 'my log.parquet'" in capsys.readouterr().err


def test_a_log_too_short_for_trees_says_what_it_takes_instead(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = str(shop(tmp_path, 600))
    assert run(("data", "score", short, "--out", "scored.parquet")) == 0
    said = capsys.readouterr().err
    assert "base: a regression on streamed features" in said and "for trees the initial part is too short" in said
    assert load_log(Path("scored.parquet"))["base"].is_not_null().all()
    assert run(("data", "score", short, "--base", "boosted", "--out", "other.parquet")) == 2
    assert "take an initial part of 1,875 events" in capsys.readouterr().err


def test_a_base_is_not_overwritten_unasked_nor_a_log_written_that_nobody_reads(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(("data", "score", str(shop(tmp_path, 600)), "--out", "scored.parquet")) == 0
    again = ("data", "score", "scored.parquet", "--out", "again.parquet")
    assert run(again) == 2
    assert "scored.parquet has bases" in capsys.readouterr().err
    assert run((*again, "--base", "online")) == 0
    said, anew = load_log(Path("scored.parquet")), load_log(Path("again.parquet"))
    assert said["base"].to_list() == anew["base"].to_list()
    assert run(("data", "score", "scored.parquet", "--base", "online", "--out", "again.csv")) == 2
    assert "call it again.parquet" in capsys.readouterr().err
