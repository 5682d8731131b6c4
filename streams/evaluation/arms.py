"""The arms compared on the predictions that a fleet recorded: figures with intervals, and their course over time."""

from pathlib import Path

import numpy as np
import polars as pl

from device_sim.lately import HARM
from models.scores import auc, auc_of_groups, aucs_up_to, logloss
from monitor.arms import ArmResult, ArmsOverTime
from wire.arrays import F64, I64, U8
from wire.task import ARMS

RESAMPLES = 1000  # of the users, for 95 % intervals; their ends then vary by about 2 % of the width
POINTS = 40  # of the curves over time
_MIN_SHARE = 0.02  # the first point of a curve: fewer events make a curve of noise


def read_predictions(path: Path) -> pl.DataFrame:
    """The predictions in event-time order; empty when the fleet left none."""
    return pl.read_parquet(path).sort("timestamp", maintain_order=True) if path.exists() else pl.DataFrame()


def compare_arms(predictions: pl.DataFrame, seed: int) -> dict[str, ArmResult]:
    """Each arm's AUC, GAUC and log-loss, and its GAUC against the cloud arm's, paired over users.

    `predictions` has columns `user_id`, `label` and one of probabilities per arm.
    """
    arms = _arms_in(predictions)
    if not arms:
        return {}
    group, label = _users(predictions), _labels(predictions)
    each = {arm: _user_aucs(group, label, _scores(predictions, arm)) for arm in arms}
    counted = ~np.isnan(each["cloud"])
    if not counted.any():
        return {}
    weight = np.bincount(group)[counted].astype(np.float64)
    draws = np.random.default_rng(seed).multinomial(len(weight), np.full(len(weight), 1 / len(weight)), RESAMPLES)
    results = {}
    for arm in arms:
        gain = (each[arm] - each["cloud"])[counted]
        resampled = (draws @ (weight * gain)) / (draws @ weight)
        scores = _scores(predictions, arm)
        results[arm] = ArmResult(
            auc=auc(label, scores),
            gauc=_mean(each[arm][counted], weight),
            log_loss=logloss(label, scores),
            gauc_gain=_mean(gain, weight),
            gauc_gain_low=float(np.quantile(resampled, 0.025)),
            gauc_gain_high=float(np.quantile(resampled, 0.975)),
            harmed_share=None if arm == "cloud" else float((gain < -HARM).mean()),
        )
    return results


def arms_over_time(predictions: pl.DataFrame) -> ArmsOverTime | None:
    """AUC and GAUC over all events predicted up to each of `POINTS` points; None without predictions."""
    arms = _arms_in(predictions)
    if not arms:
        return None
    n = len(predictions)
    ends = [int(end) for end in np.unique(np.linspace(max(1, n * _MIN_SHARE), n, POINTS).astype(np.int64))]
    group, label = _users(predictions), _labels(predictions)
    one, users = np.zeros_like(group), int(group.max()) + 1
    size = [np.bincount(group[:end], minlength=users).astype(np.float64) for end in ends]
    aucs: dict[str, list[float]] = {}
    gaucs: dict[str, list[float]] = {}
    for arm in arms:
        scores = _scores(predictions, arm)
        aucs[arm] = aucs_up_to(ends, one, 1, label, scores)[:, 0].tolist()
        each = aucs_up_to(ends, group, users, label, scores)
        gaucs[arm] = [_mean(values, weight) for values, weight in zip(each, size, strict=True)]
    return ArmsOverTime(predicted=ends, auc=aucs, gauc=gaucs)


def _arms_in(predictions: pl.DataFrame) -> list[str]:
    return [arm for arm in ARMS if arm in predictions.columns] if len(predictions) else []


def _users(predictions: pl.DataFrame) -> I64:
    return predictions["user_id"].rank("dense").to_numpy().astype(np.int64) - 1


def _labels(predictions: pl.DataFrame) -> U8:
    return predictions["label"].to_numpy().astype(np.uint8)


def _scores(predictions: pl.DataFrame, arm: str) -> F64:
    return predictions[arm].to_numpy().astype(np.float64)


def _user_aucs(group: I64, label: U8, score: F64) -> F64:
    return auc_of_groups(group, int(group.max()) + 1, label, score)


def _mean(values: F64, weight: F64) -> float:
    """The weighted mean of what is there; nan when nothing is."""
    there = ~np.isnan(values)
    return float(values[there] @ weight[there] / weight[there].sum()) if there.any() else float("nan")
