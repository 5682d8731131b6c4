"""The folder that a run leaves behind, and that an empty run does not."""

from datetime import datetime
from pathlib import Path

import pytest

from streams.run_folder import run_folder
from wire.errors import InputError, StorageError

NOON = datetime(2026, 1, 2, 12)


def test_a_run_that_leaves_nothing_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), run_folder(tmp_path / "run", NOON):
        raise KeyboardInterrupt
    assert not (tmp_path / "run").exists()


def test_what_a_run_left_stays_however_it_ended(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), run_folder(tmp_path / "run", NOON) as folder:
        (folder / "log").touch()
        raise KeyboardInterrupt
    assert (tmp_path / "run" / "log").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(InputError, match="already holds something"), run_folder(tmp_path, NOON):
        pass
    assert (tmp_path / "mine").exists()


def test_runs_that_begin_in_the_same_second_have_a_folder_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with run_folder(None, NOON) as first, run_folder(None, NOON) as second:
        (first / "result").touch()
        (second / "result").touch()
    with run_folder(None, NOON) as third:
        assert [each.name for each in (first, second, third)] == [f"20260102-120000{n}" for n in ("", "-2", "-3")]


def test_a_folder_that_another_run_is_about_to_fill_is_left_to_it(tmp_path: Path) -> None:
    with run_folder(tmp_path / "run", NOON) as folder:
        with pytest.raises(StorageError, match="in use by another process"), run_folder(tmp_path / "run", NOON):
            pass
        (folder / "result").touch()
