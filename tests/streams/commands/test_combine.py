"""`coda combine` as a person runs it."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from streams.cli import run
from tests.streams.commands.test_evaluate import SETTINGS
from tests.streams.evaluation.world import taste_log


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Run folders of one log with two seeds."""
    folder = tmp_path_factory.mktemp("runs")
    log = folder / "taste.parquet"
    taste_log(1500).drop("event_id").write_parquet(log)
    folders = [str(folder / f"seed-{seed}") for seed in (0, 1)]
    for seed, out in enumerate(folders):
        assert run(("evaluate", str(log), *SETTINGS, "--refresh", "0s", "--seed", str(seed), "--out", out)) == 0
    return folders


def test_runs_are_told_of_together(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(("combine", *runs)) == 0
    told = capsys.readouterr().out
    assert "seeds 0, 1" in told and "second half (" in told and "80 devices" in told
    assert run(("combine", *runs, "--json")) == 0
    document = json.loads(capsys.readouterr().out)
    parts = [json.loads((Path(folder) / "result.json").read_text()) for folder in runs]
    assert document["predicted"] == sum(part["predicted"] for part in parts)
    assert document["paired"].keys() == parts[0]["paired"].keys()


def test_what_is_no_run_is_one_clear_line(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "result.json").write_text("{}")
    shutil.copytree(runs[0], tmp_path / "old")
    pl.read_parquet(Path(runs[0]) / "predictions.parquet").drop("repeat").write_parquet(
        tmp_path / "old" / "predictions.parquet"
    )
    for words, line in (
        ((), "give the run folders"),
        ((str(tmp_path / "none"),), "is no run of `coda evaluate`"),
        ((str(tmp_path),), "is no run of `coda evaluate`"),
        ((str(tmp_path / "old"),), "is a run of an older"),
        ((runs[0], runs[0]), "two runs have one seed"),
    ):
        assert run(("combine", *words)) == 2
        error = capsys.readouterr().err.strip()
        assert line in error and len(error.splitlines()) == 1
