"""Random draws: uniform, and the same however the pool is cut up."""

import numpy as np

from index.fetched import NO_ROW
from index.hash_sampling import SETTLE_LEAST, SETTLE_SHARE, Drawn, closeness, points
from tests.index.samples import all_seen
from wire.arrays import U64
from wire.ids import mix


def drawn_of(sample: U64) -> Drawn:
    drawn = Drawn()
    drawn.add(np.arange(len(sample)) + 1000, sample)
    return drawn


def test_the_mix_is_splitmix64() -> None:
    """The first three outputs for seed 0 as published."""
    gamma = np.uint64(0x9E3779B97F4A7C15)
    states = np.array([0], np.uint64) + np.arange(3, dtype=np.uint64) * gamma
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert mix(states).tolist() == expected


def test_fetches_the_rows_that_follow_most_closely_around_the_circle() -> None:
    sample = np.arange(1, 41, dtype=np.uint64)
    drawn, asked = drawn_of(sample), points(np.arange(500, dtype=np.uint64), np.full(500, 9), seed=1)
    row, score = drawn.draw(asked, all_seen(40, 500), 6)
    every = closeness(asked[:, None], mix(sample))
    assert (row - 1000).tolist() == np.argsort(-every, axis=1)[:, :6].tolist()
    assert score.tolist() == np.take_along_axis(every, row - 1000, axis=1).tolist()
    row, score = drawn.draw(asked, all_seen(40, 500), 42)
    assert (np.sort(row[:, :40]) == np.arange(1000, 1040)).all(), "once around, and no further"
    assert (row[:, 40:] == NO_ROW).all() and np.isneginf(score[:, 40:]).all()


def test_of_old_and_new_rows_the_closest_are_drawn_that_may_be_seen() -> None:
    sample = np.random.default_rng(0).permutation(8000).astype(np.uint64)
    asked, sight = points(np.arange(300, dtype=np.uint64), np.full(300, 9), seed=1), all_seen(8000, 300)
    drawn = drawn_of(sample[:6000])
    drawn.settle(lambda rows: rows >= 0)
    drawn.add(np.arange(7000, 9000), sample[6000:])
    sight.rows["user"][::5], sight.rows["live"][1::5], sight.rows["timestamp"][2::5] = 1, False, 1
    row, _ = drawn.draw(asked, sight, 400)
    seen = np.flatnonzero(np.arange(8000) % 5 > 2)
    every = closeness(asked[:, None], mix(sample[seen]))
    assert (row - 1000 == seen[np.argsort(-every, axis=1)[:, :400]]).all()


def test_rows_that_come_later_and_go_are_as_if_they_always_were_or_never() -> None:
    sample = np.random.default_rng(0).permutation(60).astype(np.uint64)
    drawn = Drawn()
    for at in (slice(0, 20), slice(20, 20), slice(20, 45)):
        drawn.add(np.arange(1000, 1060)[at], sample[at])
    drawn.settle(lambda rows: rows % 3 > 0)
    drawn.add(np.array([1046, 1047, 1049]), sample[[46, 47, 49]])
    rows = np.array([*(row for row in range(1000, 1045) if row % 3), 1046, 1047, 1049])
    asked, sight = points(np.arange(9, dtype=np.uint64), np.full(9, 9), seed=1), all_seen(60, 9)
    row, score = drawn.draw(asked, sight, 60)
    expected = Drawn()
    expected.add(rows, sample[rows - 1000])
    expected_row, expected_score = expected.draw(asked, sight, 60)
    assert sorted(row[0, : len(rows)].tolist()) == rows.tolist()
    assert row.tolist() == expected_row.tolist() and score.tolist() == expected_score.tolist()


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
    asked = points(np.ones(3, np.uint64), np.ones(3, np.int64), 0)
    row, score = Drawn().draw(asked, all_seen(0, 3), 5)
    assert (row == NO_ROW).all() and np.isneginf(score).all() and row.shape == (3, 5)


def test_over_many_pools_every_place_is_drawn_equally_often() -> None:
    """For one query the draw is uniform over what the samples' keys could have been."""
    point = points(np.ones(1, np.uint64), np.ones(1, np.int64), 0)
    keys = np.random.default_rng(0).integers(1, 2**63, (4000, 20)).astype(np.uint64)
    sight = all_seen(20, 1)
    drawn = np.concatenate([drawn_of(sample).draw(point, sight, 5)[0][0] for sample in keys])
    counts = np.bincount(drawn - 1000, minlength=20)
    chi2 = ((counts - 1000) ** 2 / 1000).sum()
    assert chi2 < 43.8  # 99.9 % of chi-squared with 19 degrees of freedom; draws without replacement lie below
