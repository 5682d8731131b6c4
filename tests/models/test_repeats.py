from collections.abc import Sequence

import numpy as np
import pytest

from models.cloud_model import sigmoid
from models.repeats import PRECISION, REGRESSION, TRAITS, Repeats, learned_weights, traits, with_repeats
from models.scores import logloss
from wire.arrays import F32, F64

DAY_S = 86_400


def events(n: int, weights: dict[str, float], seed: int = 0) -> tuple[F32, F64, F64]:
    """Traits of events of which half are repeats, what the cloud expects, and labels by a truth with `weights`."""
    rng = np.random.default_rng(seed)
    times = rng.integers(0, 4, n) * rng.integers(0, 2, n)
    cloud = rng.normal(0, 1, n).astype(np.float32)
    seen = times.astype(np.uint8), rng.integers(0, 30 * DAY_S, n).astype(np.uint32)
    truth = with_repeats(cloud, *seen, weights).astype(np.float64)
    return traits(*seen, cloud), 1 / (1 + np.exp(-cloud)), (rng.random(n) < 1 / (1 + np.exp(-truth))).astype(np.float64)


def learned(trait: F32, expected: F64, label: F64, cuts: Sequence[int] = ()) -> dict[str, float]:
    """Weights from these events, reported before each of `cuts` and at the end."""
    equations = [
        REGRESSION.within(part.sum(axis=0)) for part in np.split(REGRESSION.evidence(trait, expected, label), cuts)
    ]
    return learned_weights(np.sum(equations, axis=0))


def adjusted(weights: dict[str, float], trait: F32, expected: F64) -> F64:
    repeats = Repeats(1)
    repeats.configure(np.array([0]), weights)
    logit = np.log(expected / (1 - expected)) + repeats.added(np.zeros(len(trait), np.int64), trait)
    return sigmoid(logit.astype(np.float32)).astype(np.float64)


@pytest.mark.parametrize("truth", [{"taken": -0.8}, {"taken": 0.4, "times": 0.6, "since": -0.2}, {"cloud": -0.5}])
def test_the_fleet_learns_whether_people_come_back(truth: dict[str, float]) -> None:
    weights = learned(*events(60_000, truth))
    assert weights == pytest.approx(dict.fromkeys(TRAITS, 0.0) | truth, abs=0.15)
    trait, expected, label = events(5_000, truth, seed=1)
    bits = label.astype(np.uint8)
    assert logloss(bits, adjusted(weights, trait, expected)) < logloss(bits, expected)


def test_where_nothing_comes_twice_nothing_changes() -> None:
    trait, expected, label = events(500, {"taken": 1.0})
    weights = learned(0 * trait, expected, label)
    assert weights == dict.fromkeys(TRAITS, 0.0)
    np.testing.assert_allclose(adjusted({"taken": 5.0}, 0 * trait, expected), expected, rtol=1e-5)


def test_weights_are_the_ridge_regression_of_what_is_left_to_explain() -> None:
    """The oracle: weighted least squares with an intercept for every report, and rows that say every weight is 0."""
    trait, expected, label = events(40, {"taken": 1.0})
    cuts = [13, 14, 30]
    root = np.sqrt(expected * (1 - expected))
    report = np.searchsorted(cuts, np.arange(40), side="right")
    columns = np.concatenate([trait, np.eye(len(cuts) + 1)[report]], axis=1)
    prior = np.sqrt(PRECISION) * np.eye(len(TRAITS), columns.shape[1])
    goal = np.concatenate([(label - expected) / root, np.zeros(len(TRAITS))])
    wanted = np.linalg.lstsq(np.concatenate([root[:, None] * columns, prior]), goal, rcond=None)[0][: len(TRAITS)]
    got = learned(trait, expected, label, cuts)
    np.testing.assert_allclose([got[name] for name in TRAITS], wanted, atol=6e-4)  # rounded to .001


def test_who_clicks_more_and_repeats_more_teaches_nothing() -> None:
    trait, expected, _ = events(400, {})
    eager = np.repeat([0.0, 1.0], 200)  # two reports: nothing new clicked, every repeat clicked
    same = np.repeat(trait[trait[:, 0] > 0][:1], 400, axis=0) * eager[:, None].astype(np.float32)
    assert max(map(abs, learned(same, expected, eager, [200]).values())) < 0.01


def test_devices_have_the_weights_of_their_own_task_and_new_ones_none() -> None:
    repeats = Repeats(2)
    repeats.configure(np.array([1]), {"taken": 1.0})
    repeats.grow(1)
    assert repeats.added(np.arange(3), np.ones((3, len(TRAITS)), np.float32)).tolist() == [0, 1, 0]
