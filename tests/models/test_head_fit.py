"""Training heads against the plainest oracle: the dense covariance of all rows, one head at a time."""

from dataclasses import replace

import numpy as np
import pytest

from models import head_fit
from models.cloud_model import DIM
from models.head_fit import HeadRows, fit_heads
from wire.arrays import F64
from wire.task import Spread

SPREAD = Spread(item=0.5, category=0.2, taste=0.1, user_bias=0.3)
SPREADS = [SPREAD, Spread(item=2.0, category=0.05, taste=0.2, user_bias=0.6), SPREAD]


def some_rows(counts: list[int], seed: int = 0, heads: int = 1) -> HeadRows:
    """Rows of so many devices in shuffled order; every item lies in one category."""
    rng = np.random.default_rng(seed)
    device = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    n = len(device)
    item = rng.integers(1, 30, n).astype(np.uint32)
    vectors = rng.normal(0, DIM**-0.5, (30, DIM)).astype(np.float32)
    return HeadRows(
        device=device,
        x=vectors[item],
        label=rng.integers(0, 2, n).astype(np.uint8),
        item=item,
        category=(item % 5 + 100).astype(np.uint32),
        logit=rng.normal(size=(n, heads)).astype(np.float32),
        weight=rng.uniform(0.2, 1, (n, heads)).astype(np.float32),
    )


def dense(rows: HeadRows, asked: HeadRows, spread: Spread) -> F64:
    """What the one head of `rows` adds to the samples `asked`: one Newton step of a Gaussian process, row by row."""

    def covariance(a: HeadRows, b: HeadRows) -> F64:
        same_item, same_category = a.item[:, None] == b.item, a.category[:, None] == b.category
        parts = spread.item * same_item + spread.category * same_category
        whole: F64 = parts + spread.taste * (a.x @ b.x.T).astype(float)
        return whole

    weight, p = rows.weight[:, 0], 1 / (1 + np.exp(-rows.logit[:, 0].astype(float)))
    curvature = weight * p * (1 - p)
    response = weight * (rows.label - p) / curvature
    whole = covariance(rows, rows) + spread.user_bias + np.diag(1 / curvature)
    added: F64 = covariance(asked, rows) @ np.linalg.solve(whole, response)
    return added


def of_head(rows: HeadRows, head: int) -> HeadRows:
    """The rows as one of their heads sees them."""
    return replace(rows, logit=rows.logit[:, [head]], weight=rows.weight[:, [head]])


def of_device(rows: HeadRows, device: int) -> HeadRows:
    """The rows of one device, as if it were the only one."""
    mine = rows.take(np.flatnonzero(rows.device == device))
    return replace(mine, device=np.zeros(len(mine), np.int64))


def test_each_head_is_what_the_dense_solve_gives() -> None:
    rows, asked = some_rows([40, 1, 0, 90], heads=3), some_rows([50], seed=3)
    heads = fit_heads(rows, 4, SPREADS)
    assert len(heads) == 12
    for number in range(12):
        alone = of_head(of_device(rows, number // 3), number % 3)
        expected = dense(alone, asked, SPREADS[number % 3]) if len(alone) else np.zeros(50)
        which = np.full(50, number)
        np.testing.assert_allclose(heads.added(which, asked.x, asked.item, asked.category), expected, atol=1e-5)


@pytest.mark.parametrize("rows_at_once", [1, 60, 16_000])
def test_heads_are_the_same_whoever_is_beside_them(rows_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_fit, "GROUP", rows_at_once)
    rows = some_rows([5 + g % 7 for g in range(11)], heads=2)
    asked = some_rows([30], seed=3)
    whole = fit_heads(rows, 11, SPREADS[:2])
    for device in (0, 1, 2, 10):
        alone = fit_heads(of_device(rows, device), 1, SPREADS[:2])
        for head in (0, 1):
            one, same = (
                heads.added(np.full(30, number), asked.x, asked.item, asked.category)
                for heads, number in ((alone, head), (whole, 2 * device + head))
            )
            np.testing.assert_allclose(one, same, atol=1e-6)


def test_a_logit_for_all_heads_is_each_ones_logit() -> None:
    rows = some_rows([30], heads=2)
    shared = replace(rows, logit=rows.logit[:, :1])
    repeated = replace(rows, logit=np.repeat(rows.logit[:, :1], 2, axis=1))
    np.testing.assert_array_equal(fit_heads(shared, 1, SPREADS[:2]).taste, fit_heads(repeated, 1, SPREADS[:2]).taste)


def test_rows_without_weight_teach_a_head_nothing() -> None:
    rows, asked = some_rows([30], heads=2), some_rows([30], seed=3)
    half = rows.item % 2 == 0  # so that some items have no weight at all
    rows.weight[~half, 1] = 0
    both = fit_heads(rows, 1, [SPREAD, SPREAD])
    kept = fit_heads(of_head(rows, 1).take(np.flatnonzero(half)), 1, [SPREAD])
    one, same = (
        heads.added(np.full(30, number), asked.x, asked.item, asked.category)
        for heads, number in ((kept, 0), (both, 1))
    )
    np.testing.assert_allclose(one, same, atol=1e-6)
    silent = fit_heads(replace(rows, weight=0 * rows.weight), 1, [SPREAD, SPREAD])
    assert len(silent) == 2 and not silent.taste.any() and silent.bias_keys.shape[1] == 0


@pytest.mark.parametrize(("devices", "heads"), [(0, 1), (1, 2), (3, 1), (3, 0)])
def test_heads_without_rows_add_nothing(devices: int, heads: int) -> None:
    none = fit_heads(some_rows([0], heads=heads), devices, [SPREAD] * heads)
    assert len(none) == devices * heads and not none.taste.any() and none.bias_keys.shape[1] == 0


def test_how_often_a_user_clicks_does_not_reach_the_head() -> None:
    """All labels 1 is a matter of the bias: with a wide prior for it, next to nothing is left for the parts."""
    rows = some_rows([60])
    eager = replace(rows, logit=0 * rows.logit, label=np.ones_like(rows.label), weight=1 + 0 * rows.weight)
    narrow, wide = (fit_heads(eager, 1, [Spread(0.5, 0.2, 0.1, level)]) for level in (1e-6, 100.0))
    asked = np.zeros(60, np.int64), rows.x, rows.item, rows.category
    assert np.abs(wide.added(*asked)).mean() < 0.1 * np.abs(narrow.added(*asked)).mean()
