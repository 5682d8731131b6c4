"""Training heads against the plainest oracle: the dense covariance of all rows, one head at a time."""

from typing import Any

import numpy as np
import pytest

from models.arrays import F64, U32
from models.cloud_model import DIM
from models.head_fit import GROUP, HeadRows, Spread, fit_heads

SPREAD = Spread(item=0.5, category=0.2, taste=0.1, level=0.3)


def some_rows(counts: list[int], seed: int = 0) -> HeadRows:
    """Rows in shuffled order; every item lies in one category."""
    rng = np.random.default_rng(seed)
    head = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    n = len(head)
    item = rng.integers(1, 30, n).astype(np.uint32)
    vectors = rng.normal(0, DIM**-0.5, (30, DIM)).astype(np.float32)
    return HeadRows(
        head=head,
        x=vectors[item],
        logit=rng.normal(size=n).astype(np.float32),
        label=rng.integers(0, 2, n).astype(np.uint8),
        weight=rng.uniform(0.2, 1, n).astype(np.float32),
        item=item,
        category=(item % 5 + 100).astype(np.uint32),
    )


def dense(rows: HeadRows, asked: HeadRows, spread: Spread) -> F64:
    """What the head of `rows` adds to the samples `asked`: one Newton step of a Gaussian process, row by row."""

    def covariance(a: HeadRows, b: HeadRows) -> F64:
        same_item, same_category = a.item[:, None] == b.item, a.category[:, None] == b.category
        parts = spread.item * same_item + spread.category * same_category
        whole: F64 = parts + spread.taste * (a.x @ b.x.T).astype(float)
        return whole

    p = 1 / (1 + np.exp(-rows.logit.astype(float)))
    curvature = rows.weight * p * (1 - p)
    response = rows.weight * (rows.label - p) / curvature
    whole = covariance(rows, rows) + spread.level + np.diag(1 / curvature)
    added: F64 = covariance(asked, rows) @ np.linalg.solve(whole, response)
    return added


def test_each_head_is_what_the_dense_solve_gives() -> None:
    rows, asked = some_rows([40, 1, 0, 90]), some_rows([50], seed=3)
    heads = fit_heads(rows, 4, SPREAD)
    for head in range(4):
        alone = rows.take(np.flatnonzero(rows.head == head))
        expected = dense(alone, asked, SPREAD) if len(alone) else np.zeros(50)
        which = np.full(50, head)
        np.testing.assert_allclose(heads.added(which, asked.x, asked.item, asked.category), expected, atol=1e-5)


def test_a_head_is_the_same_whoever_is_beside_it() -> None:
    rows = some_rows([5 + g % 7 for g in range(2 * GROUP + 3)])
    whole = fit_heads(rows, 2 * GROUP + 3, SPREAD)
    for head in (0, GROUP - 1, GROUP, 2 * GROUP + 2):
        alone = rows.take(np.flatnonzero(rows.head == head))
        one = fit_heads(HeadRows(np.zeros(len(alone), np.int64), *_columns(alone)), 1, SPREAD)
        np.testing.assert_allclose(whole.taste[head], one.taste[0], atol=1e-6)
        at = np.flatnonzero(whole.bias_values[head])
        np.testing.assert_allclose(whole.bias_values[head, at], one.bias_values[0, : len(at)], atol=1e-6)


def test_rows_without_weight_teach_nothing() -> None:
    rows = some_rows([30])
    half = np.arange(30) % 2 == 0
    silent = HeadRows(**{n: getattr(rows, n) for n in rows.__slots__} | {"weight": np.where(half, rows.weight, 0)})
    kept = fit_heads(rows.take(np.flatnonzero(half)), 1, SPREAD)
    np.testing.assert_allclose(fit_heads(silent, 1, SPREAD).taste, kept.taste, atol=1e-6)


@pytest.mark.parametrize("heads", [0, 1, 3])
def test_heads_without_rows_add_nothing(heads: int) -> None:
    none = fit_heads(some_rows([0]), heads, SPREAD)
    assert len(none) == heads and not none.taste.any() and none.bias_keys.shape[1] == 0


def test_how_often_a_user_clicks_does_not_reach_the_head() -> None:
    """All labels 1 is a matter of the level: with a wide prior for it, next to nothing is left for the parts."""
    rows = some_rows([60])
    eager = HeadRows(rows.head, rows.x, 0 * rows.logit, np.ones_like(rows.label), 1 + 0 * rows.weight, *_keys(rows))
    narrow, wide = (fit_heads(eager, 1, Spread(0.5, 0.2, 0.1, level)) for level in (1e-6, 100.0))
    asked = np.zeros(60, np.int64), rows.x, rows.item, rows.category
    assert np.abs(wide.added(*asked)).mean() < 0.1 * np.abs(narrow.added(*asked)).mean()


def _columns(rows: HeadRows) -> list[Any]:
    return [getattr(rows, name) for name in rows.__slots__[1:]]


def _keys(rows: HeadRows) -> tuple[U32, U32]:
    return rows.item, rows.category
