from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.scores import auc, auc_of_groups, aucs_up_to, ece, gauc, log_losses, logloss, ndcg_of_groups
from wire.arrays import F64, U8, U64

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 4)), max_size=40)


def columns(rows: list[tuple[int, int, int]]) -> tuple[U64, U8, F64]:
    user = np.array([r[0] for r in rows], np.uint64)
    return user, np.array([r[1] for r in rows], np.uint8), np.array([r[2] / 4 for r in rows])


def slow_auc(label: U8, score: F64) -> float:
    pairs = [(p > n) + (p == n) / 2 for p in score[label == 1] for n in score[label == 0]]
    return float(np.mean(pairs)) if pairs else float("nan")


@given(rows)
def test_auc_counts_pairs(rows: list[tuple[int, int, int]]) -> None:
    _, label, score = columns(rows)
    np.testing.assert_allclose(auc(label, score), slow_auc(label, score))


@given(rows)
def test_gauc_averages_users_with_both_labels_by_impressions(rows: list[tuple[int, int, int]]) -> None:
    user, label, score = columns(rows)
    each = [(slow_auc(label[user == u], score[user == u]), (user == u).sum()) for u in np.unique(user)]
    counted = [(a, n) for a, n in each if not np.isnan(a)]
    wanted = sum(a * n for a, n in counted) / sum(n for _, n in counted) if counted else float("nan")
    np.testing.assert_allclose(gauc(user, label, score), wanted)


def slow_ndcg(label: U8, score: F64) -> float:
    """Over all orders in which ties may stand."""
    orders = [order for order in permutations(range(len(label))) if (np.diff(score[list(order)]) <= 0).all()]
    gain = 1 / np.log2(2 + np.arange(len(label)))
    if not 0 < label.sum() < len(label):
        return float("nan")
    return float(np.mean([label[list(order)] @ gain for order in orders]) / gain[: label.sum()].sum())


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 3)), max_size=7))
def test_ndcg_is_the_mean_over_ties_and_1_where_all_positives_are_on_top(rows: list[tuple[int, int, int]]) -> None:
    user, label, score = columns(rows)
    found = ndcg_of_groups(user.astype(np.int64), 3, label, score)
    np.testing.assert_allclose(found, [slow_ndcg(label[user == u], score[user == u]) for u in range(3)])
    top = ndcg_of_groups(user.astype(np.int64), 3, label, label.astype(np.float64))
    np.testing.assert_allclose(top[~np.isnan(top)], 1)


def test_log_loss_is_finite_for_the_surest_mistake() -> None:
    assert logloss(np.array([1], np.uint8), np.array([0.0])) == pytest.approx(-np.log(1e-6))
    assert np.isnan(logloss(np.zeros(0, np.uint8), np.zeros(0)))
    np.testing.assert_allclose(log_losses(np.array([1, 0], np.uint8), np.array([0.25, 0.25])), -np.log([0.25, 0.75]))


def test_calibration_error_is_the_gap_per_bin() -> None:
    label = np.array([1, 0, 1, 1], np.uint8)
    assert ece(label, np.array([0.5, 0.5, 1.0, 1.0])) == pytest.approx(0)
    assert ece(label, np.array([0.9, 0.9, 0.9, 0.9])) == pytest.approx(0.15)


def test_aucs_of_the_first_rows_are_those_of_these_rows_alone() -> None:
    rng = np.random.default_rng(5)
    group, label, score = rng.integers(0, 7, 300), rng.integers(0, 2, 300).astype(np.uint8), rng.random(300).round(1)
    found = aucs_up_to([3, 100, 300], group, 7, label, score)
    for each, end in zip(found, (3, 100, 300), strict=True):
        np.testing.assert_array_equal(each, auc_of_groups(group[:end], 7, label[:end], score[:end]))
