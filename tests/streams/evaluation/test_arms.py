"""Arms compared on recorded predictions, against the plain definitions."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.scores import auc, gauc
from streams.evaluation.arms import arms_over_time, compare_arms, read_predictions


def predictions(n: int = 4000, users: int = 60, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    noise = rng.normal(size=(2, n))
    return pl.DataFrame(
        {
            "user_id": [f"u{u}" for u in rng.integers(0, users, n)],
            "timestamp": np.arange(n),
            "label": label,
            "cloud": 1 / (1 + np.exp(-(0.5 * label + noise[0]))),
            "coda": 1 / (1 + np.exp(-(1.5 * label + noise[1]))),
        }
    )


def test_figures_are_those_of_the_scores_and_the_better_arm_is_told_apart() -> None:
    table = predictions()
    results = compare_arms(table, seed=1)
    label, coda = table["label"].to_numpy().astype(np.uint8), table["coda"].to_numpy()
    users = table["user_id"].hash().to_numpy()
    assert results["coda"].auc == pytest.approx(auc(label, coda))
    assert results["coda"].gauc == pytest.approx(gauc(users, label, coda))
    assert results["coda"].gauc_gain == pytest.approx(results["coda"].gauc - results["cloud"].gauc)
    assert 0 < results["coda"].gauc_gain_low < results["coda"].gauc_gain < results["coda"].gauc_gain_high
    assert results["cloud"].gauc_gain == 0
    assert results["cloud"].harmed_share is None


def test_an_arm_that_equals_the_cloud_gains_and_harms_nothing() -> None:
    same = predictions().with_columns(coda=pl.col("cloud"))
    result = compare_arms(same, seed=1)["coda"]
    assert (result.gauc_gain, result.gauc_gain_low, result.gauc_gain_high, result.harmed_share) == (0, 0, 0, 0)


def test_curves_end_at_the_figures_of_the_whole() -> None:
    table = predictions()
    results, curves = compare_arms(table, seed=1), arms_over_time(table)
    assert curves is not None
    assert curves.predicted[-1] == len(table)
    for arm, result in results.items():
        assert curves.auc[arm][-1] == pytest.approx(result.auc)
        assert curves.gauc[arm][-1] == pytest.approx(result.gauc)


def test_nothing_predicted_is_nothing_compared(tmp_path: Path) -> None:
    none = read_predictions(tmp_path / "predictions.parquet")
    assert compare_arms(none, seed=0) == {}
    assert arms_over_time(none) is None


def test_without_both_labels_there_is_nothing_to_rank() -> None:
    assert compare_arms(predictions().with_columns(label=pl.lit(1)), seed=0) == {}
