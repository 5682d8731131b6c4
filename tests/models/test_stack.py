from collections.abc import Sequence

import numpy as np
import pytest

from models.arrays import F32, F64
from models.blend import PERSONAL, STACKS, stacked_by
from models.cloud_model import sigmoid
from models.scores import logloss
from models.stack import PRECISION, Stack, evidence, learned_shares, within

ONE = np.array([0])


def events(n: int, share: dict[str, float], seed: int = 0) -> tuple[F32, F64, F64]:
    """What heads add, what the cloud expects, and labels by a truth that reads heads by `share`."""
    rng = np.random.default_rng(seed)
    added = rng.normal(0, 0.5, (n, len(PERSONAL))).astype(np.float32)
    cloud = rng.normal(0, 1, n)
    truth = cloud + sum(value * added[:, PERSONAL.index(head)] for head, value in share.items())
    return added, 1 / (1 + np.exp(-cloud)), (rng.random(n) < 1 / (1 + np.exp(-truth))).astype(np.float64)


def learned(added: F32, expected: F64, label: F64, cuts: Sequence[int] = ()) -> dict[str, dict[str, float]]:
    """Shares from these events, reported before each of `cuts` and at the end."""
    parts = np.split(evidence(added, expected, label), cuts)
    equations = [within(part.sum(axis=0)) for part in parts]
    return learned_shares(np.sum([g for g, _ in equations], axis=0), np.sum([p for _, p in equations], axis=0))


def stacked(shares: dict[str, dict[str, float]], added: F32, expected: F64) -> dict[str, F64]:
    stack = Stack(1)
    stack.configure(ONE, shares)
    logit = np.log(expected / (1 - expected))[:, None] + stack.added(np.zeros(len(added), np.int64), added)
    return dict(zip(STACKS, sigmoid(logit.astype(np.float32)).T.astype(np.float64), strict=True))


def test_the_fleet_learns_what_to_believe_and_what_to_turn_around() -> None:
    added, expected, label = events(60_000, {"local": 0.8, "local-habit": -1.0, "coda": 0.5})
    shares = learned(added, expected, label)
    assert shares["coda"]["local"] == pytest.approx(0.8, abs=0.1)
    assert shares["coda"]["local-habit"] == pytest.approx(-1, abs=0.1)
    assert shares["coda"]["coda"] == pytest.approx(0.5, abs=0.1)
    assert shares["coda"]["coda-like"] == pytest.approx(0, abs=0.1)
    fresh = events(5_000, {"local": 0.8, "local-habit": -1.0, "coda": 0.5}, seed=1)
    losses = {arm: logloss(fresh[2].astype(np.uint8), p) for arm, p in stacked(shares, *fresh[:2]).items()}
    assert losses["coda"] < losses["local"] < logloss(fresh[2].astype(np.uint8), fresh[1])
    assert losses["coarse"] == pytest.approx(losses["local"], abs=0.005)


def test_shares_are_the_ridge_regression_of_what_is_left_to_explain() -> None:
    """The oracle: weighted least squares with an intercept for every report, and rows that say every share is 0."""
    added, expected, label = events(40, {"local": 1.0})
    cuts = [13, 14, 30]
    at = [PERSONAL.index(head) for head in stacked_by("random")]
    root = np.sqrt(expected * (1 - expected))
    report = np.searchsorted(cuts, np.arange(40), side="right")
    columns = np.concatenate([added[:, at], np.eye(len(cuts) + 1)[report]], axis=1)
    prior = np.sqrt(PRECISION) * np.eye(len(at), columns.shape[1])
    goal = np.concatenate([(label - expected) / root, np.zeros(len(at))])
    wanted = np.linalg.lstsq(np.concatenate([root[:, None] * columns, prior]), goal, rcond=None)[0][: len(at)]
    got = learned(added, expected, label, cuts)["random"]
    np.testing.assert_allclose([got[head] for head in stacked_by("random")], wanted, atol=6e-4)  # rounded to .001


def test_who_clicks_more_and_whose_heads_add_more_teaches_nothing() -> None:
    added, expected, _ = events(400, {})
    eager = np.repeat([0.0, 1.0], 200)  # two reports: nothing clicked, everything clicked
    same = np.repeat(added[:1], 400, axis=0) + eager[:, None].astype(np.float32)
    shares = learned(same, expected, eager, [200])
    assert max(abs(share) for arm in shares.values() for share in arm.values()) < 0.01


def test_a_stack_reads_its_own_arms_heads_alone() -> None:
    shares = learned(*events(500, dict.fromkeys(PERSONAL, 1.0)))
    assert {arm: tuple(heads) for arm, heads in shares.items()} == {arm: stacked_by(arm) for arm in STACKS}
    stack = Stack(1)
    stack.configure(ONE, shares)
    for head, name in enumerate(PERSONAL):
        moved = stack.added(ONE, np.eye(len(PERSONAL), dtype=np.float32)[[head]])[0] != 0
        assert [arm for arm, m in zip(STACKS, moved, strict=True) if m] == [a for a in STACKS if name in stacked_by(a)]


def test_devices_have_the_shares_of_their_own_task_and_new_ones_none() -> None:
    stack = Stack(2)
    stack.configure(np.array([1]), {"local": {"local": 1.0}})
    stack.grow(1)
    added = np.ones((3, len(PERSONAL)), np.float32)
    assert stack.added(np.arange(3), added)[:, STACKS.index("local")].tolist() == [0, 1, 0]


def test_a_head_that_never_said_anything_gets_no_share() -> None:
    added, expected, label = events(200, {})
    added[:, PERSONAL.index("mpda")] = 0
    assert learned(added, expected, label)["mpda"]["mpda"] == 0
