"""`coda pool`: what people see, and what scripts read."""

import json
from pathlib import Path

import pytest

from index.pool import Pool
from streams.cli import run
from tests.index.pools import small
from tests.index.samples import samples


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Pool.open(tmp_path / "pool", small()) as pool:
        pool.upsert(samples(range(100, 160)))
    return tmp_path / "pool"


def test_stats(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pool", "stats", str(path)]) == 0
    assert "samples              60\n" in capsys.readouterr().out
    assert run(["pool", "stats", str(path), "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["samples"] == 60 and numbers["newest_timestamp"] == 159 and numbers["disk_bytes"] > 0


@pytest.mark.parametrize("command", ["stats", "verify", "rebuild"])
def test_of_a_folder_of_pools_one_is_named(path: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pool", command, str(path.parent)]) == 1
    assert f"give the directory of one, such as {path}\n" in capsys.readouterr().err


def test_verify(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pool", "verify", str(path), "--json", "--k", "5"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["rows_on_disk"] == numbers["rows_in_memory"] == 60 and numbers["rows_in_graphs"] == 56
    assert numbers["recall"] == 1 and numbers["rows_that_differ"] == 0


def test_rebuild(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path / "CURRENT").write_text("garbage\n")
    assert run(["pool", "verify", str(path)]) == 1
    assert f"coda pool rebuild {path}" in capsys.readouterr().err
    assert run(["pool", "rebuild", str(path), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["kept"] == 60 and "kept 60 samples, lost 0" in captured.err


@pytest.mark.parametrize("command", ["stats", "verify"])
@pytest.mark.parametrize("file", ["*.sst", "MANIFEST-*", "CURRENT"])
def test_damage_is_told(path: Path, command: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    for damaged in path.glob(file):
        damaged.write_bytes(b"\xa5" * max(100, damaged.stat().st_size))
    assert run(["pool", command, str(path)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"pool {path} is damaged (" in said and f"coda pool rebuild {path}" in said


def test_low_recall_fails_the_check(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.verify.recall_of", lambda _found, _exact: 0.5)
    assert run(["pool", "verify", str(path)]) == 1
    assert "recall 0.5000 is under 0.95" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["stats", "verify", "rebuild"])
def test_what_is_not_a_pool_is_said_in_one_line(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pool", command, str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_nonsense_is_usage(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pool", "verify", str(path), "--queries", "0"]) == 2
    assert '"0" for --queries. Must be >= 1' in capsys.readouterr().err
