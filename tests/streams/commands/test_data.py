"""`coda data` with a user's own log."""

from pathlib import Path

import polars as pl
import pytest

from streams.cli import run
from streams.logs.event_log import EventLog

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
