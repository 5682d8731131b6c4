import numpy as np
import polars as pl
import pytest

from models.scores import auc
from streams.logs.negatives import Sampling, add_negatives
from tests.streams.logs.world import make_log, seen_before
from wire.errors import InputError


def positives(events: int = 2000) -> pl.DataFrame:
    """Baskets of four rows each, ten minutes apart; items drift, so that a window matters."""
    rng = np.random.default_rng(5)
    moment = np.arange(events) // 4
    return make_log(events).with_columns(
        pl.lit(1, pl.Int8).alias("label"),
        pl.Series("user_id", [f"u{n}" for n in moment % 7]),
        pl.Series("item_id", [f"i{n}" for n in moment // 10 + rng.integers(0, 30, events)]),
        pl.Series("timestamp", 10**12 + moment * 600_000),
    )


def passing_items(items: int = 4000, takes: int = 30) -> pl.DataFrame:
    """Items of uneven popularity that are taken for `LIFE_ROWS` after their birth, on average, by users without taste.

    Like the articles of a news portal: with 44,000 clicks a day, lives of five to six hours.
    """
    rng = np.random.default_rng(7)
    popularity = rng.geometric(1 / takes, items)
    events = int(popularity.sum())
    birth = np.repeat(rng.uniform(0, events, items), popularity)
    item = np.repeat(np.arange(items), popularity)[np.argsort(birth + rng.exponential(LIFE_ROWS, events))]
    return make_log(events).with_columns(
        pl.lit(1, pl.Int8).alias("label"),
        pl.Series("user_id", rng.integers(0, 300, events)).cast(pl.String),
        pl.Series("item_id", item).cast(pl.String),
    )


def seen_before_auc(log: pl.DataFrame, sampling: Sampling, *columns: str) -> float:
    """How well "taken before" tells the label in the later half of the log with its negatives."""
    sampled = add_negatives(log, sampling).log
    later = slice(sampled.height // 2, None)
    label = sampled["label"].to_numpy().astype(np.uint8)
    return auc(label[later], seen_before(sampled, *columns).astype(np.float64)[later])


LIFE_ROWS = 10_000
LOG = positives()
SAMPLING = Sampling(3, 48, seed=1)
SAMPLED = add_negatives(LOG, SAMPLING)
NEGATIVES = SAMPLED.log.filter(pl.col("label") == 0)


def test_every_positive_stays_and_gets_its_negatives_at_its_own_time() -> None:
    assert SAMPLED.missing == 0
    kept = SAMPLED.log.filter(pl.col("label") == 1)
    assert kept.sort(pl.all()).equals(LOG.sort(pl.all()))
    moments = LOG.group_by("user_id", "timestamp").len().with_columns(pl.col("len") * 3)
    drawn = NEGATIVES.group_by("user_id", "timestamp").len()
    assert drawn.sort("timestamp").equals(moments.sort("timestamp"))
    assert SAMPLED.log["timestamp"].is_sorted()


def test_negatives_are_what_was_taken_in_the_nearest_rows_on_either_side_however_far_in_time() -> None:
    rows = 8
    lone = make_log(rows, users=rows).with_columns(
        pl.lit(1, pl.Int8).alias("label"),
        pl.Series("item_id", [f"i{n}" for n in range(rows)]),
        pl.Series("timestamp", [10**n for n in range(rows)]),
    )
    sampled = add_negatives(lone, Sampling(80, 2)).log.filter(pl.col("label") == 0)
    taken = {n: {f"i{near}" for near in range(max(n - 2, 0), min(n + 3, rows)) if near != n} for n in range(rows)}
    drawn = dict(sampled.group_by("timestamp").agg(pl.col("item_id").unique()).iter_rows())
    assert {n: set(drawn[10**n]) for n in range(rows)} == taken


def test_nothing_of_the_same_basket_is_a_negative_but_what_was_taken_at_other_times_may_be() -> None:
    basket = LOG.select("user_id", "timestamp", "item_id")
    assert NEGATIVES.join(basket, on=["user_id", "timestamp", "item_id"], how="semi").height == 0
    assert (
        NEGATIVES.join(basket.select("user_id", "item_id").unique(), on=["user_id", "item_id"], how="semi").height > 0
    )


def test_a_new_item_is_not_more_likely_to_be_a_positive() -> None:
    """With a window of the past alone, an item's first row would always be a positive."""
    first = SAMPLED.log.group_by("item_id", maintain_order=True).agg(pl.col("label").first())
    assert 0.1 < first["label"].mean() < 0.5  # type: ignore[operator]


def test_among_items_that_come_and_go_a_new_one_tells_nothing_unless_the_window_outlasts_them() -> None:
    log = passing_items()
    for columns in (("item_id",), ("user_id", "item_id")):
        assert seen_before_auc(log, Sampling(2), *columns) == pytest.approx(0.5, abs=0.02), columns
    too_wide = Sampling(2, 4 * LIFE_ROWS)
    assert seen_before_auc(log, too_wide, "item_id") > 0.55, "this check can't fail, so it says nothing"


def test_the_order_of_rows_does_not_tell_the_label() -> None:
    order = SAMPLED.log.with_columns(place=pl.int_range(pl.len()).over("timestamp") / pl.len().over("timestamp"))
    by_label = dict(order.group_by("label").agg(pl.col("place").mean()).iter_rows())
    assert abs(by_label[0] - by_label[1]) < 0.02


def test_the_seed_decides_everything() -> None:
    assert add_negatives(LOG, SAMPLING).log.equals(SAMPLED.log)
    assert not add_negatives(LOG, Sampling(3, 48, seed=2)).log.equals(SAMPLED.log)


def test_what_cannot_be_drawn_is_counted() -> None:
    lonely = LOG.head(1)
    sampled = add_negatives(lonely, Sampling(2))
    assert (sampled.log.height, sampled.missing) == (1, 2)


def test_a_log_with_negatives_is_refused() -> None:
    with pytest.raises(InputError, match="negatives of its own"):
        add_negatives(make_log(10), SAMPLING)


@pytest.mark.parametrize(("per_positive", "window_rows"), [(0, 1), (1, 0)])
def test_settings_that_make_no_sense_are_refused(per_positive: int, window_rows: int) -> None:
    with pytest.raises(InputError):
        Sampling(per_positive, window_rows)
