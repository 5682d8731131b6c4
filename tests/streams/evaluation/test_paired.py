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
    lonely = pl.DataFrame({"user_id": ["x"] * 500, "label": [1] * 500, "cloud": [0.1] * 500, "coda": [0.9] * 500})
    more = pl.concat([TABLE, lonely])
    pair, before = (Comparison(t, ARMS, seed=1).pairs([("coda", "cloud")])["coda-cloud"] for t in (more, TABLE))
    assert (pair.gauc, pair.users) == (before.gauc, before.users)
    assert pair.auc > before.auc
    assert pair.logloss < before.logloss


def test_where_nobody_has_both_labels_there_is_nothing_to_compare() -> None:
    comparison = Comparison(TABLE.with_columns(label=pl.lit(1)), ARMS, seed=1)
    assert comparison.pairs([("coda", "cloud")]) == {}
    assert comparison.figures()["coda"].gauc is None
    assert comparison.figures()["coda"].logloss is not None


def test_there_are_a_thousand_resamples() -> None:
    assert RESAMPLES >= 1000
