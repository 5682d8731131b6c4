"""Random draws: uniform, and the same however the pool is cut up."""

import numpy as np

from index.hash_sampling import SETTLE_LEAST, SETTLE_SHARE, Drawn, HashOrder, closeness, points
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


def test_of_old_and_new_rows_the_closest_are_fetched_and_seldom_too_few() -> None:
    sample = np.random.default_rng(0).permutation(8000).astype(np.uint64)
    drawn, asked = Drawn(), points(np.arange(300, dtype=np.uint64), np.full(300, 9), seed=1)
    drawn.add(np.arange(6000), sample[:6000])
    drawn.settle(lambda rows: rows >= 0)
    drawn.add(np.arange(6000, 8000), sample[6000:])
    fetched, every = drawn.fetch(asked, 400), closeness(asked[:, None], mix(sample))
    best = np.argsort(-every, axis=1)[:, :400]
    assert (fetched.row[:, :400] == best).all()
    assert fetched.row.shape[1] < 700
    assert (fetched.bound < np.take_along_axis(every, best, axis=1)[:, -1]).all()


def test_rows_that_come_later_and_go_are_as_if_they_always_were_or_never() -> None:
    sample = np.random.default_rng(0).permutation(60).astype(np.uint64)
    drawn = Drawn()
    for at in (slice(0, 20), slice(20, 20), slice(20, 45)):
        drawn.add(np.arange(60)[at], sample[at])
    drawn.settle(lambda rows: rows % 3 > 0)
    drawn.add(np.array([46, 47, 49]), sample[[46, 47, 49]])
    rows = np.array([*(row for row in range(45) if row % 3), 46, 47, 49])
    assert sorted(drawn.rows.tolist()) == rows.tolist()
    asked = points(np.arange(9, dtype=np.uint64), np.full(9, 9), seed=1)
    fetched, expected = drawn.fetch(asked, 60), HashOrder(rows, sample[rows]).fetch(asked, 60)
    assert fetched.row.tolist() == expected.row.tolist() and fetched.score.tolist() == expected.score.tolist()


def test_it_is_time_to_settle_when_so_many_came() -> None:
    drawn, sample = Drawn(), np.arange(1, 100_000, dtype=np.uint64)
    drawn.add(np.arange(SETTLE_LEAST), sample[:SETTLE_LEAST])
    assert not drawn.crowded
    drawn.add(np.arange(SETTLE_LEAST, 64_000), sample[SETTLE_LEAST:64_000])
    assert drawn.crowded
    drawn.settle(lambda rows: rows >= 0)
    drawn.add(np.arange(64_000, 66_000), sample[64_000:66_000])
    assert 64_000 // SETTLE_SHARE == 2000 and not drawn.crowded
    drawn.add(np.arange(66_000, 66_001), sample[66_000:66_001])
    assert drawn.crowded


def test_no_rows_no_draws() -> None:
    none = HashOrder(np.zeros(0, np.int64), np.zeros(0, np.uint64))
    assert none.fetch(points(np.ones(3, np.uint64), np.ones(3, np.int64), 0), 5).row.shape == (3, 0)
    assert Drawn().fetch(points(np.ones(3, np.uint64), np.ones(3, np.int64), 0), 5).row.shape == (3, 0)


def test_over_many_pools_every_place_is_drawn_equally_often() -> None:
    """For one query the draw is uniform over what the samples' keys could have been."""
    point = points(np.ones(1, np.uint64), np.ones(1, np.int64), 0)
    keys = np.random.default_rng(0).integers(1, 2**63, (4000, 20)).astype(np.uint64)
    drawn = np.concatenate([HashOrder(np.arange(20), row).fetch(point, 5).row[0] for row in keys])
    counts = np.bincount(drawn, minlength=20)
    chi2 = ((counts - 1000) ** 2 / 1000).sum()
    assert chi2 < 43.8  # 99.9 % of chi-squared with 19 degrees of freedom; draws without replacement lie below
