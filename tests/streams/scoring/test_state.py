"""What is on disk is used whole, or refused in one line."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from streams.base.names import ONLINE
from streams.scoring.state import FILE, ScoringState
from tests.disks import small_disk
from tests.streams.scoring.world import START, keep, log_in, messages, said, scorer_of, tail_of
from wire.errors import InputError, StorageError


def changed(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        lambda path: path.write_bytes(b"no database, and long enough to see that it is none" * 10),
        lambda path: changed(path, "UPDATE parts SET data = zeroblob(9) WHERE name = 'items'"),
        lambda path: changed(path, "DELETE FROM parts WHERE name = 'waiting'"),
        lambda path: changed(path, "UPDATE people SET data = zeroblob(9) WHERE place = 1"),
        lambda path: changed(path, "DELETE FROM people WHERE place = 1"),
        lambda path: changed(path, "UPDATE came SET data = zeroblob(9) WHERE place = 1"),
        lambda path: changed(path, "DELETE FROM came WHERE place = 1"),
        lambda path: changed(path, "UPDATE scorer SET document = zeroblob(9)"),
    ],
)
def test_a_damaged_state_is_refused_with_what_to_do(damage: Callable[[Path], object], tmp_path: Path) -> None:
    scorer = scorer_of(log_in(tmp_path), ONLINE)
    said(scorer, messages(tail_of(log_in(tmp_path))[:9]))
    keep(ScoringState(tmp_path), scorer)
    damage(tmp_path / FILE)
    with pytest.raises(InputError, match=r"score.sqlite is damaged.*another --state"):
        ScoringState(tmp_path).resume(START)


def test_a_state_of_another_version_is_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("streams.scoring.state.FORMAT", "coda-score-4")
        keep(ScoringState(tmp_path), scorer_of(log_in(tmp_path), ONLINE))
    with pytest.raises(InputError, match=r"of another version.*'coda-score-5'.*another --state"):
        ScoringState(tmp_path).resume(START)


def test_people_beyond_the_limit_are_gone_from_disk_too_and_the_others_keep_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.streamed.features.PEOPLE", 20)
    monkeypatch.setattr("streams.scoring.scorer.PEOPLE", 20)
    path = log_in(tmp_path)
    scorer, state = scorer_of(path, ONLINE), ScoringState(tmp_path)
    for first in range(0, 200, 50):
        said(scorer, messages(tail_of(path)[first : first + 50]))
        keep(state, scorer)
    resumed = ScoringState(tmp_path).resume(START)
    assert resumed is not None
    for people, again in ((scorer.service.people, resumed[0].service.people), (scorer.came, resumed[0].came)):
        assert len(again) == 20 and [*again._people] == [*people._people]


def test_whoever_is_killed_before_the_first_state_is_whole_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = log_in(tmp_path), tmp_path / "state"
    folder.mkdir()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("streams.scoring.state._put_people", killed)
        keep(ScoringState(folder), scorer_of(path, ONLINE))
    assert ScoringState(folder).resume(START) is None
    keep(ScoringState(folder), scorer_of(path, ONLINE), {("unscored", 0): 7})
    resumed = ScoringState(folder).resume(START)
    assert resumed is not None and resumed[1] == {("unscored", 0): 7}


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_where_nothing_is_there_is_nothing_to_go_on_from(tmp_path: Path) -> None:
    assert ScoringState(tmp_path).resume(START) is None


def test_a_disk_that_is_full_keeps_nothing_of_a_first_state(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 128 * 1024) as disk:
        with pytest.raises(StorageError, match="make room"):
            keep(ScoringState(disk), scorer_of(log_in(tmp_path), ONLINE))
        assert not list(disk.iterdir())
