from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.scores import auc
from streams.evaluation.log import evaluation_log, repeats
from streams.logs.event_log import EventLog
from streams.logs.negatives import Sampling
from tests.streams.logs.world import make_log, seen_before
from wire.errors import InputError

HOUR_MS = 3_600_000
SAMPLING = Sampling(2, seed=3)


def shop(folder: Path, events: int = 6000) -> Path:
    """Purchases of items whose popularity drifts, by users without any taste, and some returns (label 0)."""
    rng = np.random.default_rng(0)
    item = np.arange(events) // 200 + rng.geometric(0.1, events)
    log = make_log(events, users=30).with_columns(
        pl.Series("item_id", [f"i{i}" for i in item]),
        pl.Series("label", (rng.random(events) > 0.03).astype(np.int8)),
        pl.Series("timestamp", 10**12 + np.arange(events) * (HOUR_MS // 10)),
    )
    path = folder / "shop.parquet"
    log.write_parquet(path)
    return path


def test_negatives_cannot_be_told_by_what_was_seen_before(tmp_path: Path) -> None:
    log = evaluation_log(EventLog(shop(tmp_path)), SAMPLING).events
    label = log["label"].to_numpy().astype(np.uint8)
    for columns in (("item_id",), ("user_id", "item_id")):
        assert auc(label, seen_before(log, *columns).astype(np.float64)) == pytest.approx(0.5, abs=0.02), columns


def test_repeats_are_what_the_user_took_before(tmp_path: Path) -> None:
    log = evaluation_log(EventLog(shop(tmp_path, 2000)), SAMPLING).events
    taken: dict[tuple[str, str], int] = {}
    expected = []
    for user, item, label, when in log.select("user_id", "item_id", "label", "timestamp").iter_rows():
        expected.append(taken.get((user, item), when) < when)
        if label:
            taken.setdefault((user, item), when)
    assert repeats(log)["repeat"].to_list() == expected
    assert 0.02 < np.mean(expected) < 0.98


def test_returns_are_left_out_and_every_event_has_an_id_of_its_own(tmp_path: Path) -> None:
    path = shop(tmp_path)
    log = evaluation_log(EventLog(path), SAMPLING).events
    positives = pl.read_parquet(path).filter(pl.col("label") == 1)
    assert log.filter(pl.col("label") == 1).height == positives.height
    assert log.height > 2.9 * positives.height
    assert log["event_id"].null_count() == 0
    assert log["event_id"].n_unique() == log.height
    assert log["timestamp"].is_sorted()
    assert evaluation_log(EventLog(path), SAMPLING).events.equals(log)


def test_a_log_with_both_labels_is_taken_as_it_is(tmp_path: Path) -> None:
    check, log, _ = evaluation_log(EventLog(shop(tmp_path)), None)
    assert check.events == log.height == 6000


@pytest.mark.parametrize(
    ("label", "sampling", "words"),
    [(1, None, "coda data get .* --negatives 2"), (0, SAMPLING, "no event is a positive")],
)
def test_a_log_that_can_not_be_used_says_what_to_do(
    tmp_path: Path, label: int, sampling: Sampling | None, words: str
) -> None:
    path = tmp_path / "one.parquet"
    pl.read_parquet(shop(tmp_path, 100)).with_columns(label=pl.lit(label)).write_parquet(path)
    with pytest.raises(InputError, match=words):
        evaluation_log(EventLog(path), sampling)
