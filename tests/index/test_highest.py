"""The highest scores, against sorting all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.fetched import Scores
from index.highest import SIFTED_FROM, STRIDE, highest, reached_by_about, top_k

MANY = 4 * SIFTED_FROM


def check(score: Scores, k: int) -> None:
    columns, best = highest(score, k)
    assert columns.shape == best.shape == (len(score), min(k, score.shape[1]))
    assert all(len(set(row)) == len(row) for row in columns.tolist())
    assert (best == np.take_along_axis(score, columns, 1)).all()
    assert (np.sort(best, axis=1) == np.sort(score, axis=1)[:, -k:]).all()


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=30), st.integers(1, 40))
def test_top_k_sorts(scores: list[int], k: int) -> None:
    table = np.array([scores, scores[::-1]], np.float64)
    columns, best = top_k(table, k)
    assert best.tolist() == [sorted(scores, reverse=True)[:k]] * 2
    assert best.tolist() == np.take_along_axis(table, columns, 1).tolist()
    assert all(len(set(row)) == best.shape[1] for row in columns.tolist())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 17, 200, 1000])
@pytest.mark.parametrize("queries", [1, 9])
def test_of_many_scores(dtype: type, k: int, queries: int) -> None:
    check(np.random.default_rng(k).normal(size=(queries, MANY)).astype(dtype), k)


def sample_says_little() -> Scores:
    """All high scores are where the sample looks, or all where it doesn't."""
    score, generator = np.zeros((2, MANY)), np.random.default_rng(1)
    score[0, ::STRIDE] = 1 + generator.random(MANY // STRIDE)
    score[1] = score[0].max() - score[0]
    return score + 1e-3 * generator.random(score.shape)


@pytest.mark.parametrize(
    "score",
    [
        pytest.param(np.zeros((3, MANY)), id="all equal"),
        pytest.param(np.arange(3 * MANY, dtype=float).reshape(3, MANY), id="rising"),
        pytest.param(-np.arange(3 * MANY, dtype=float).reshape(3, MANY), id="falling"),
        pytest.param(sample_says_little(), id="sample says little"),
        pytest.param(np.random.default_rng(2).integers(0, 3, (3, MANY)).astype(float), id="many equal"),
    ],
)
def test_whatever_the_order(score: Scores) -> None:
    check(score, 300)


def test_of_rows_that_may_hardly_see_anything() -> None:
    score, generator = np.full((4, MANY), -np.inf), np.random.default_rng(3)
    score[1, :10], score[2, -900:], score[3] = 1, generator.random(900), generator.random(MANY)
    check(score, 300)


@pytest.mark.parametrize("n", [50, MANY])
def test_what_about_k_scores_reach(n: int) -> None:
    score = np.random.default_rng(n).normal(size=n).astype(np.float32)
    assert 40 <= np.count_nonzero(score >= reached_by_about(score, 40)) <= 40 + n // 50
    assert reached_by_about(score, n) == reached_by_about(score, n + 1) == -np.inf
