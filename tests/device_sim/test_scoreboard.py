from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from device_sim import scoreboard
from device_sim.record import Predictions, TrainingRecord
from device_sim.scoreboard import Scoreboard, compute_ms_of, put_together
from models.scores import auc, gauc
from monitor.metrics import Metrics, pairs
from wire.errors import InputError
from wire.ids import user_keys
from wire.task import ARMS


def block(first: int, count: int) -> Predictions:
    rng = np.random.default_rng(first)
    return Predictions(
        user_id=[f"u{n % 3}" for n in range(count)],
        event_id=[f"e{n}" for n in range(first, first + count)],
        timestamp=np.arange(first, first + count),
        label=rng.integers(0, 2, count).astype(np.uint8),
        version=np.ones(count, np.int64),
        arms=rng.random((count, len(ARMS))),
        scores=np.zeros((count, len(ARMS))),
    )


def training(n: int) -> TrainingRecord:
    return TrainingRecord(f"u{n}", 1, n, 1.5 + n, 20, {"local": True}, 9000)


def ids(path: Path) -> list[str]:
    return pl.read_parquet(path)["event_id"].to_list()


def test_all_predictions_end_in_one_file_with_every_arm(tmp_path: Path) -> None:
    board = Scoreboard(tmp_path, {})
    for n in range(4):
        board.add([block(10 * n, 10)])
        board.flush()
    frame = pl.read_parquet(board.merge())
    assert frame["event_id"].to_list() == [f"e{n}" for n in range(40)]
    assert frame.columns == ["user_id", "event_id", "timestamp", "label", "version", *ARMS]
    assert pl.read_parquet(board.merge(("cloud", "coda"))).columns[-3:] == ["version", "cloud", "coda"]


def test_only_the_arms_that_a_task_compares_are_told(tmp_path: Path) -> None:
    board, metrics = Scoreboard(tmp_path, {}), Metrics()
    board.add([block(0, 50), block(50, 50)])
    for names in (ARMS, ("cloud", "local", "coda")):
        scores = board.scores(names)
        scores.show(metrics)
        assert list(scores.ranking()) == list(scores.result()) == list(names)
        said = metrics.values()
        assert set(said[Metrics.arm_gauc.name]) == {f"arm={arm}" for arm in names}
        lately = {pairs(labels)["arm"] for labels in said[Metrics.lately_calibration.name]}
        assert lately == set(names)


def test_scores_are_those_of_the_predictions(tmp_path: Path) -> None:
    board = Scoreboard(tmp_path, {})
    board.add([block(0, 50), block(50, 50)])
    both = [block(0, 50), block(50, 50)]
    label = np.concatenate([b.label for b in both])
    users = user_keys([u for b in both for u in b.user_id])
    coda = np.concatenate([b.arms[:, ARMS.index("coda")] for b in both]).astype(np.float32)
    assert board.scores().ranking()["coda"] == (auc(label, coda), gauc(users, label, coda))


def test_no_predictions_give_no_figures(tmp_path: Path) -> None:
    board = Scoreboard(tmp_path, {})
    assert board.scores().result()["cloud"] == {"auc": None, "gauc": None, "logloss": None, "ece": None}
    board.flush()
    assert ids(board.merge()) == []


@pytest.mark.parametrize("part_rows", [5, 25, 10_000])
def test_what_was_written_after_the_last_snapshot_is_thrown_away(
    tmp_path: Path, part_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoreboard, "PART_ROWS", part_rows)
    board = Scoreboard(tmp_path, {})
    board.add([block(0, 10)])
    board.flush()
    board.add([block(10, 10)])
    board.add_trainings([training(0)])
    recorded = board.flush()
    board.add([block(20, 10)])
    board.add_trainings([training(1)])
    board.flush()
    again = Scoreboard(tmp_path, recorded)
    assert len(again.scores()) == 20
    assert compute_ms_of(tmp_path) == [1.5]
    again.add([block(20, 5)])
    again.flush()
    assert ids(again.merge()) == [f"e{n}" for n in range(25)]


def test_what_was_thrown_away_is_gone_from_disk_though_nothing_is_predicted_since(tmp_path: Path) -> None:
    share = tmp_path / "0"
    board = Scoreboard(share, {})
    board.add([block(0, 10)])
    recorded = board.flush()
    board.add([block(10, 5)])
    board.flush()
    Scoreboard(share, recorded).flush()
    assert len(put_together([share], tmp_path, ARMS)) == 10


def test_a_fresh_start_does_not_inherit_old_records(tmp_path: Path) -> None:
    board = Scoreboard(tmp_path, {})
    board.add([block(0, 10)])
    board.add_trainings([training(0)])
    board.flush()
    fresh = Scoreboard(tmp_path, {})
    assert (len(fresh.scores()), compute_ms_of(tmp_path)) == (0, [])


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("recorded", [{}, {"run": 2}, {"run": 2, "parts": 0, "tail_rows": 5, "trainings_bytes": 0}])
def test_records_of_another_run_are_refused_and_kept(tmp_path: Path, recorded: dict[str, int]) -> None:
    board = Scoreboard(tmp_path, {"run": 1})
    board.add([block(0, 10)])
    board.add_trainings([training(0)])
    board.flush()
    before = content(tmp_path)
    with pytest.raises(InputError, match=r"do not belong to the fleet's --state: give another --out, or the --state"):
        Scoreboard(tmp_path, recorded)
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", ["predictions.parquet", "trainings.jsonl", "predictions/000000.parquet"])
def test_records_that_say_not_whose_they_are_are_kept(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(InputError, match="give another --out"):
        Scoreboard(tmp_path, {"run": 1})
    assert (tmp_path / name).read_bytes() == b"mine"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size // 2))


@pytest.mark.parametrize("name", ["trainings.jsonl", "predictions/000000.parquet", "predictions/000001.parquet"])
@pytest.mark.parametrize("damage", [cut, overwrite, Path.unlink])
def test_records_that_the_state_goes_on_from_and_are_not_there_are_told(
    tmp_path: Path, name: str, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoreboard, "PART_ROWS", 10)
    board = Scoreboard(tmp_path, {"run": 1})
    board.add([block(0, 10)])
    board.flush()
    board.add([block(10, 5)])
    board.add_trainings([training(0)])
    recorded = board.flush()
    damage(tmp_path / name)
    with pytest.raises(InputError, match=rf"{name} is damaged or gone.*put it back from a copy"):
        Scoreboard(tmp_path, recorded)


def test_scores_are_of_the_newest_predictions_once_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoreboard, "SCORED", 30)
    monkeypatch.setattr(scoreboard, "PART_ROWS", 20)
    board = Scoreboard(tmp_path, {})
    for n in range(7):
        board.add([block(10 * n, 10)])
        recorded = board.flush()
    assert board.events == 70 and 30 <= len(board.scores()) <= 60
    np.testing.assert_array_equal(board.scores().label[-10:], block(60, 10).label)
    again = Scoreboard(tmp_path, recorded)
    assert again.events == 70 and 30 <= len(again.scores()) <= 60
    assert len(pl.read_parquet(again.merge())) == 70, "nothing on disk is forgotten"


def test_records_of_several_processes_become_one_file_each_and_are_scored_together(tmp_path: Path) -> None:
    shares = [tmp_path / "0", tmp_path / "1", tmp_path / "none"]
    blocks = [block(0, 30), block(30, 20)]
    for share, each in zip(shares, blocks, strict=False):
        board = Scoreboard(share, {})
        board.add([each])
        board.add_trainings([training(len(each.label))])
        board.flush()
    scores = put_together(shares, tmp_path, ["cloud", "coda"])
    frame = pl.read_parquet(tmp_path / "predictions.parquet")
    assert frame["event_id"].to_list() == [f"e{n}" for n in range(50)]
    assert [arm for arm in ARMS if arm in frame.columns] == ["cloud", "coda"]
    assert compute_ms_of(tmp_path) == [31.5, 21.5]
    labels = np.concatenate([each.label for each in blocks])
    said = np.concatenate([each.arms[:, ARMS.index("coda")] for each in blocks]).astype(np.float32)
    assert scores.ranking()["coda"][0] == pytest.approx(auc(labels, said))


def test_of_processes_that_predicted_nothing_there_is_an_empty_file(tmp_path: Path) -> None:
    assert len(put_together([tmp_path / "0"], tmp_path, ARMS)) == 0
    assert ids(tmp_path / "predictions.parquet") == []
