import numpy as np
import polars as pl
import pytest

from models.scores import auc, gauc
from streams.evaluation.paired import RESAMPLES, Comparison

ARMS = ("cloud", "coda")


def predictions(n: int = 6000, users: int = 80, seed: int = 0) -> pl.DataFrame:
    """Users have biases of their own; coda knows more than cloud."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, users, n)
    label = (rng.random(n) < rng.uniform(0.2, 0.8, users)[user]).astype(np.int64)
    noise = rng.normal(size=(2, n))
    return pl.DataFrame(
        {
            "user_id": [f"u{u}" for u in user],
            "label": label,
            "timestamp": np.arange(n) // 300,
            "cloud": 1 / (1 + np.exp(-(0.5 * label + noise[0]))),
            "coda": 1 / (1 + np.exp(-(0.8 * label + noise[1]))),
        }
    )


TABLE = predictions()


def test_figures_and_differences_are_those_of_the_scores() -> None:
    comparison = Comparison(TABLE, ARMS, seed=1)
    label, user = TABLE["label"].to_numpy().astype(np.uint8), TABLE["user_id"].hash().to_numpy()
    figures, pair = comparison.figures(), comparison.pairs([("coda", "cloud")])["coda-cloud"]
    for arm in ARMS:
        assert figures[arm].auc == pytest.approx(auc(label, TABLE[arm].to_numpy()), abs=1e-6)
        assert figures[arm].gauc == pytest.approx(gauc(user, label, TABLE[arm].to_numpy()), abs=1e-6)
    for name in ("auc", "gauc", "logloss"):
        difference = getattr(figures["coda"], name) - getattr(figures["cloud"], name)
        assert getattr(pair, name) == pytest.approx(difference, abs=3e-6)
    assert pair.ci95[0] < pair.gauc < pair.ci95[1]
    assert pair.users_up + pair.users_down <= 1
    assert pair.users_up > pair.users_down


def test_the_intervals_are_those_of_a_bootstrap_that_ranks_every_resample_again() -> None:
    pair = Comparison(TABLE, ARMS, seed=1).pairs([("coda", "cloud")])["coda-cloud"]
    label, user = TABLE["label"].to_numpy().astype(np.uint8), TABLE["user_id"].rank("dense").to_numpy()
    rows = [np.flatnonzero(user == u) for u in np.unique(user)]
    coda, cloud = (TABLE[arm].to_numpy() for arm in ("coda", "cloud"))
    rng, gains, group_gains = np.random.default_rng(2), [], []
    for _ in range(300):
        drawn = rng.integers(0, len(rows), len(rows))
        at = np.concatenate([rows[d] for d in drawn])
        copy = np.repeat(np.arange(len(drawn)), [len(rows[d]) for d in drawn]).astype(np.uint64)
        gains.append(auc(label[at], coda[at]) - auc(label[at], cloud[at]))
        group_gains.append(gauc(copy, label[at], coda[at]) - gauc(copy, label[at], cloud[at]))
    for found, oracle in ((pair.auc_ci95, gains), (pair.ci95, group_gains)):
        low, high = np.quantile(oracle, (0.025, 0.975))
        assert found[0] == pytest.approx(low, abs=0.25 * (high - low))
        assert found[1] == pytest.approx(high, abs=0.25 * (high - low))


def test_an_arm_that_equals_another_moves_nobody() -> None:
    pair = Comparison(TABLE.with_columns(coda="cloud"), ARMS, seed=1).pairs([("coda", "cloud")])["coda-cloud"]
    assert (pair.gauc, pair.ci95, pair.users_up, pair.users_down, pair.logloss) == (0, (0, 0), 0, 0, 0)


def test_users_with_one_label_count_for_auc_and_log_loss_only() -> None:
    lonely = TABLE.head(500).with_columns(user_id=pl.lit("x"), label=pl.lit(1), cloud=pl.lit(0.1), coda=pl.lit(0.9))
    more = pl.concat([TABLE, lonely], how="vertical_relaxed")
    pair, before = (Comparison(t, ARMS, seed=1).pairs([("coda", "cloud")])["coda-cloud"] for t in (more, TABLE))
    assert (pair.gauc, pair.users) == (before.gauc, before.users)
    assert pair.auc > before.auc
    assert pair.logloss < before.logloss


def test_ranking_is_by_scores_and_chances_are_by_probabilities() -> None:
    """Coda's probabilities are the cloud's; that it knows more is in its scores alone."""
    scored = TABLE.with_columns(pl.col("coda").alias("coda.score"), coda="cloud")
    pair, before = (Comparison(t, ARMS, seed=1).pairs([("coda", "cloud")])["coda-cloud"] for t in (scored, TABLE))
    assert (pair.gauc, pair.moment, pair.users_up) == (before.gauc, before.moment, before.users_up)
    assert (pair.auc, pair.logloss) == (0, 0)


def test_within_the_moment_only_what_a_user_met_at_one_time_is_compared() -> None:
    """Scores that know nothing but the time rank users' events apart, and within no moment."""
    timed = TABLE.with_columns(pl.col("timestamp").alias("coda.score"))
    figures = Comparison(timed, ARMS, seed=1).figures()
    assert figures["coda"].moment == 0.5
    one_user = TABLE.filter(pl.col("timestamp") == 3).with_columns(user_id=pl.lit("u"))
    alone = Comparison(one_user, ARMS, seed=1).figures()["coda"]
    assert alone.moment == alone.gauc != 0.5
    assert alone.ndcg is not None and 0 < alone.ndcg <= 1
    each_alone = Comparison(TABLE.with_columns(timestamp=pl.int_range(pl.len())), ARMS, seed=1)
    assert (
        each_alone.figures()["coda"].moment is each_alone.figures()["coda"].ndcg is None
        and each_alone.pairs([("coda", "cloud")])["coda-cloud"].moment is None
    )


def test_few_users_with_both_labels_among_many_have_an_interval() -> None:
    both = [f"u{n}" for n in range(3)]
    table = TABLE.filter((pl.col("label") == 1) | pl.col("user_id").is_in(both))
    pair = Comparison(table, ARMS, seed=1).pairs([("coda", "cloud")])["coda-cloud"]
    assert pair.users == 3 and pair.ci95[0] <= pair.gauc <= pair.ci95[1]


def test_where_nobody_has_both_labels_there_is_nothing_to_compare() -> None:
    comparison = Comparison(TABLE.with_columns(label=pl.lit(1)), ARMS, seed=1)
    assert comparison.pairs([("coda", "cloud")]) == {}
    assert comparison.figures()["coda"].gauc is None
    assert comparison.figures()["coda"].logloss is not None


def test_there_are_a_thousand_resamples() -> None:
    assert RESAMPLES >= 1000
