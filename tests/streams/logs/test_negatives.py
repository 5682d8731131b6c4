import numpy as np
import polars as pl
import pytest

from models.scores import auc
from streams.logs.negatives import WIDTHS, Sampling, add_negatives
from tests.streams.logs.world import make_log, seen_before
from wire.errors import InputError

LIFE_ROWS = 10_000


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


def passing_items(items: int = 4000, takes: int = 30, life_rows: float = LIFE_ROWS) -> pl.DataFrame:
    """Items of uneven popularity that are taken for `life_rows` after their birth, on average, by users without taste.

    Like the articles of a news portal: with 44,000 clicks a day, lives of five to six hours.
    """
    rng = np.random.default_rng(7)
    popularity = rng.geometric(1 / takes, items)
    events = int(popularity.sum())
    birth = np.repeat(rng.uniform(0, events, items), popularity)
    item = np.repeat(np.arange(items), popularity)[np.argsort(birth + rng.exponential(life_rows, events))]
    return make_log(events).with_columns(
        pl.lit(1, pl.Int8).alias("label"),
        pl.Series("user_id", rng.integers(0, 300, events)).cast(pl.String),
        pl.Series("item_id", item).cast(pl.String),
    )


def seen_before_auc(sampled: pl.DataFrame, *columns: str) -> float:
    """How well "taken before" tells the label in the later half of a log with its negatives."""
    later = slice(sampled.height // 2, None)
    label = sampled["label"].to_numpy().astype(np.uint8)
    return auc(label[later], seen_before(sampled, *columns).astype(np.float64)[later])


LOG = positives()
SAMPLING = Sampling(3, seed=1)
SAMPLED = add_negatives(LOG, SAMPLING)
NEGATIVES = SAMPLED.log.filter(pl.col("label") == 0)


def test_every_positive_stays_and_gets_its_negatives_at_its_own_time() -> None:
    kept = SAMPLED.log.filter(pl.col("label") == 1)
    assert kept.sort(pl.all()).equals(LOG.sort(pl.all()))
    moments = LOG.group_by("user_id", "timestamp").len().with_columns(pl.col("len") * 3)
    drawn = NEGATIVES.group_by("user_id", "timestamp").len()
    whole = moments.join(drawn, on=["user_id", "timestamp", "len"], how="semi")
    assert whole.height > 0.95 * moments.height, "all but the newest, after which there is little to draw"
    assert SAMPLED.missing == 3 * LOG.height - NEGATIVES.height
    assert SAMPLED.log["timestamp"].is_sorted()


def test_negatives_are_what_was_taken_next_and_as_known_as_their_positive() -> None:
    """Items are taken in rounds: the first of them all are new, later ones are known."""
    rows = 600
    lone = make_log(rows, users=rows).with_columns(
        pl.lit(1, pl.Int8).alias("label"),
        pl.Series("item_id", [f"i{n % 100}" if n % 5 else f"new{n}" for n in range(rows)]),
    )
    first = dict(lone.group_by("item_id").agg(pl.col("timestamp").min()).iter_rows())
    newest = dict(lone.group_by("item_id").agg(pl.col("timestamp").max()).iter_rows())
    positive_is_known = {t: first[item] < t for item, t in lone.select("item_id", "timestamp").iter_rows()}
    for item, at in add_negatives(lone, Sampling(5)).log.filter(label=0).select("item_id", "timestamp").iter_rows():
        assert newest[item] > at, "taken later"
        assert (first[item] < at) == positive_is_known[at]


def test_nothing_of_the_same_basket_is_a_negative_but_what_was_taken_at_other_times_may_be() -> None:
    basket = LOG.select("user_id", "timestamp", "item_id")
    assert NEGATIVES.join(basket, on=["user_id", "timestamp", "item_id"], how="semi").height == 0
    assert (
        NEGATIVES.join(basket.select("user_id", "item_id").unique(), on=["user_id", "item_id"], how="semi").height > 0
    )


def test_among_items_that_come_and_go_nothing_that_was_known_before_tells_the_label() -> None:
    sampled = add_negatives(passing_items(), Sampling(2))
    assert sampled.probes.worst < 0.02 and sampled.probes.pairs > 100_000
    assert sampled.window_rows < LIFE_ROWS, "a wider one would outlast the items"
    assert len(sampled.lines()) == 2, "nothing to warn of"
    for columns in (("item_id",), ("user_id", "item_id")):
        assert seen_before_auc(sampled.log, *columns) == pytest.approx(0.5, abs=0.02), columns


def test_where_popularity_does_not_move_the_window_is_wide() -> None:
    item = np.random.default_rng(0).geometric(0.02, 30_000)
    steady = make_log(30_000).with_columns(
        pl.lit(1, pl.Int8).alias("label"), pl.Series("item_id", item).cast(pl.String)
    )
    assert add_negatives(steady, Sampling(1)).window_rows == WIDTHS[0]


def test_a_draw_that_can_be_told_is_warned_of() -> None:
    """Items that live for fewer rows than the narrowest window holds."""
    fleeting = add_negatives(passing_items(items=400, life_rows=20), Sampling(1))
    assert any("warning: these negatives can be told" in line for line in fleeting.lines())


def test_the_order_of_rows_does_not_tell_the_label() -> None:
    order = SAMPLED.log.with_columns(place=pl.int_range(pl.len()).over("timestamp") / pl.len().over("timestamp"))
    by_label = dict(order.group_by("label").agg(pl.col("place").mean()).iter_rows())
    assert abs(by_label[0] - by_label[1]) < 0.02


def test_the_seed_decides_everything() -> None:
    assert add_negatives(LOG, SAMPLING).log.equals(SAMPLED.log)
    assert not add_negatives(LOG, Sampling(3, seed=2)).log.equals(SAMPLED.log)


def test_what_cannot_be_drawn_is_counted() -> None:
    sampled = add_negatives(LOG.head(1), Sampling(2))
    assert (sampled.log.height, sampled.missing) == (1, 2)


def test_a_log_with_negatives_is_refused() -> None:
    with pytest.raises(InputError, match="negatives of its own"):
        add_negatives(make_log(10), SAMPLING)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError):
        Sampling(0)
