import numpy as np
import polars as pl
import pytest

from models.errors import InputError
from streams.negatives import Sampling, add_negatives
from tests.streams.logs import make_log

HOUR_MS = 3_600_000


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


LOG = positives()
SAMPLING = Sampling(3, 2 * HOUR_MS, seed=1)
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


def test_a_negative_was_taken_by_someone_within_the_window_on_either_side() -> None:
    taken = LOG.group_by("item_id").agg(pl.col("timestamp").alias("times"))
    joined = NEGATIVES.join(taken, on="item_id")
    assert joined.height == NEGATIVES.height
    near = joined.select(
        (pl.col("times").list.eval(pl.element()) - pl.col("timestamp")).list.eval(pl.element().abs()).list.min()
    ).to_series()
    assert near.max() <= SAMPLING.window_ms  # type: ignore[operator]
    later = joined.select((pl.col("times").list.min() > pl.col("timestamp")).mean()).item()
    assert later > 0.01, "no negative that is new: the window does not look ahead"


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


def test_the_order_of_rows_does_not_tell_the_label() -> None:
    order = SAMPLED.log.with_columns(place=pl.int_range(pl.len()).over("timestamp") / pl.len().over("timestamp"))
    by_label = dict(order.group_by("label").agg(pl.col("place").mean()).iter_rows())
    assert abs(by_label[0] - by_label[1]) < 0.02


def test_the_seed_decides_everything() -> None:
    assert add_negatives(LOG, SAMPLING).log.equals(SAMPLED.log)
    assert not add_negatives(LOG, Sampling(3, 2 * HOUR_MS, seed=2)).log.equals(SAMPLED.log)


def test_what_cannot_be_drawn_is_counted() -> None:
    lonely = LOG.head(1)
    sampled = add_negatives(lonely, Sampling(2, HOUR_MS))
    assert (sampled.log.height, sampled.missing) == (1, 2)


def test_a_log_with_negatives_is_refused() -> None:
    with pytest.raises(InputError, match="negatives of its own"):
        add_negatives(make_log(10), SAMPLING)


@pytest.mark.parametrize(("per_positive", "window_ms"), [(0, 1), (1, 0)])
def test_settings_that_make_no_sense_are_refused(per_positive: int, window_ms: int) -> None:
    with pytest.raises(InputError):
        Sampling(per_positive, window_ms)
