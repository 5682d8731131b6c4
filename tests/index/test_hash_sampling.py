"""Random draws: uniform, and the same however the pool is cut up."""

import numpy as np

from index.hash_sampling import HashOrder, Share, closeness, points
from wire.ids import mix


def test_the_mix_is_splitmix64() -> None:
    """The first three outputs for seed 0 as published."""
    gamma = np.uint64(0x9E3779B97F4A7C15)
    states = np.array([0], np.uint64) + np.arange(3, dtype=np.uint64) * gamma
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert mix(states).tolist() == expected


def test_fetches_the_rows_that_follow_most_closely_around_the_circle() -> None:
    sample = np.arange(1, 41, dtype=np.uint64)
    order = HashOrder(np.arange(40) + 7, sample)
    drawn = points(np.arange(500, dtype=np.uint64), np.full(500, 9), seed=1)
    fetched = order.fetch(drawn, 6)
    every = closeness(drawn[:, None], mix(sample))
    assert (fetched.row - 7).tolist() == np.argsort(-every, axis=1)[:, :6].tolist()
    assert (fetched.bound == fetched.score[:, -1]).all()
    assert np.isneginf(order.fetch(drawn, 40).bound).all()


def test_a_share_fetches_its_part_of_the_k_closest_of_all_and_seldom_too_few() -> None:
    sample = np.random.default_rng(0).permutation(8000).astype(np.uint64)
    share = Share(HashOrder(np.arange(2000), sample[:2000]), 0.25)
    drawn = points(np.arange(300, dtype=np.uint64), np.full(300, 9), seed=1)
    fetched, every = share.fetch(drawn, 400), closeness(drawn[:, None], mix(sample))
    kth = -np.partition(-every, 399, axis=1)[:, 399]
    assert 100 < fetched.row.shape[1] < 250
    assert (fetched.bound < kth).all()  # all of its rows among the k closest are there


def test_rows_that_come_later_and_go_are_as_if_they_always_were_or_never() -> None:
    sample = np.random.default_rng(0).permutation(60).astype(np.uint64)
    order = HashOrder(np.arange(20), sample[:20])
    order.add(np.arange(20, 20), sample[:0])
    order.add(np.arange(20, 60), sample[20:])
    order.keep(order.rows % 3 > 0)
    rows = np.flatnonzero(np.arange(60) % 3)
    drawn = points(np.arange(9, dtype=np.uint64), np.full(9, 9), seed=1)
    fetched, expected = order.fetch(drawn, 12), HashOrder(rows, sample[rows]).fetch(drawn, 12)
    assert fetched.row.tolist() == expected.row.tolist() and fetched.score.tolist() == expected.score.tolist()


def test_no_rows_no_draws() -> None:
    none = HashOrder(np.zeros(0, np.int64), np.zeros(0, np.uint64))
    assert none.fetch(points(np.ones(3, np.uint64), np.ones(3, np.int64), 0), 5).row.shape == (3, 0)


def test_over_many_pools_every_place_is_drawn_equally_often() -> None:
    """For one query the draw is uniform over what the samples' keys could have been."""
    point = points(np.ones(1, np.uint64), np.ones(1, np.int64), 0)
    keys = np.random.default_rng(0).integers(1, 2**63, (4000, 20)).astype(np.uint64)
    drawn = np.concatenate([HashOrder(np.arange(20), row).fetch(point, 5).row[0] for row in keys])
    counts = np.bincount(drawn, minlength=20)
    chi2 = ((counts - 1000) ** 2 / 1000).sum()
    assert chi2 < 43.8  # 99.9 % of chi-squared with 19 degrees of freedom; draws without replacement lie below
