"""Products that are kept while they are made say the same as those that are all there."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.products import ROOM, Made, Passed, Products, pass_over
from wire.arrays import F32

DIM = 8


def both(n: int, seed: int) -> tuple[F32, list[Products]]:
    """The products of a query with n vectors, and both ways to look at them."""
    generator = np.random.default_rng(seed)
    codes = generator.integers(-127, 128, (n, DIM)).astype(np.int8)
    query, steps = codes[:1].astype(np.int16).sum(axis=0, dtype=np.int16), generator.random(n, np.float32)
    products = (codes.astype(np.int32) @ query.astype(np.int32)).astype(np.float32) * steps
    passed = Passed(n, partial(pass_over(DIM), query, (codes, steps)), 0.5, 100.0)
    return products, [Made(products, 0.5, 100.0), passed]


@given(st.integers(0, 50), st.lists(st.floats(-2e4, 2e4), min_size=1, max_size=5), st.integers(0, 99))
def test_what_reaches_something(n: int, asked: list[float], seed: int) -> None:
    products, looked_at = both(n, seed)
    for least in asked:
        for each in looked_at:
            assert each.reaching(least).tolist() == np.flatnonzero(products >= np.float32(least)).tolist()


@pytest.mark.parametrize("n", [50, 30_000])
@pytest.mark.parametrize("k", [1, 40, 6000])
def test_about_the_k_highest_and_what_may_be_higher(n: int, k: int) -> None:
    products, looked_at = both(n, 1)
    for each in looked_at:
        least = each.about(k)
        if k >= n:
            assert least == -np.inf
        else:
            assert 0.9 * k <= np.count_nonzero(products >= least) <= 2 * k + 40
            assert each.reaching(least).tolist() == np.flatnonzero(products >= least).tolist()
        assert each.reaching(-np.inf).tolist() == list(range(n))


def test_there_is_room_for_all_that_reach_it() -> None:
    products, (_, passed) = both(5 * ROOM, 2)
    assert passed.reaching(0.0).tolist() == np.flatnonzero(products >= 0).tolist()


def test_where_a_sample_misleads_fewer_are_found_and_no_wrong_ones() -> None:
    n, steps = 40_000, np.zeros(40_000, np.float32)
    steps[:: -(-n // 2048)] = 1  # all high ones are where the sample looks
    codes, query = np.ones((n, DIM), np.int8), np.ones(DIM, np.int16)
    passed = Passed(n, partial(pass_over(DIM), query, (codes, steps)), 1.0, 0.5)
    assert len(passed.reaching(passed.about(6000))) < 6000
    assert len(passed.reaching(passed.about(39_000))) == n
