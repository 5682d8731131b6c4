import numpy as np
import pytest

from models.streamed.decayed import Decayed

HALF_LIVES_MS = [1000.0, 60_000.0]


def naive(row: int, rows: np.ndarray, times: np.ndarray, now_ms: int) -> list[float]:
    return [float(np.sum(0.5 ** ((now_ms - times[rows == row]) / half))) for half in HALF_LIVES_MS]


def test_sums_are_those_of_every_amount_faded_by_itself_however_long_the_stream() -> None:
    rng = np.random.default_rng(0)
    rows, times = rng.integers(0, 5, 600), np.sort(rng.integers(0, 10**6, 600))
    sums = Decayed(5, HALF_LIVES_MS)
    for at in range(0, 600, 50):
        sums.add(rows[at : at + 50], times[at : at + 50])
    now_ms = int(times[-1])
    found = sums.at(np.arange(5), np.full(5, now_ms))
    assert found == pytest.approx(np.array([naive(row, rows, times, now_ms) for row in range(5)]), rel=1e-4, abs=1e-6)


def test_the_order_in_which_amounts_come_does_not_matter() -> None:
    times = np.array([5000, 1000, 90_000])
    one, other = Decayed(1, HALF_LIVES_MS), Decayed(1, HALF_LIVES_MS)
    one.add(np.zeros(3, np.int64), times)
    for time in times:
        other.add(np.zeros(1, np.int64), np.array([time]))
    asked = np.zeros(1, np.int64), np.array([100_000])
    assert one.at(*asked) == pytest.approx(other.at(*asked), rel=1e-5)


def test_what_is_cleared_is_nothing() -> None:
    sums = Decayed(2, HALF_LIVES_MS)
    sums.add(np.array([0, 1]), np.array([0, 0]))
    sums.clear(np.array([0]))
    assert sums.at(np.array([0, 1]), np.array([0, 0])).tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize(("exact", "lost"), [(True, 0), (False, 1000)])
def test_what_is_exact_loses_nothing_of_millions(exact: bool, lost: int) -> None:
    """200 events a second are 17 million a day: what float32 holds before ones are lost."""
    sums = Decayed(1, [1e12], exact=exact)
    sums.add(np.array([0]), np.array([0]), np.array([2.0**25]))
    sums.add(np.zeros(1000, np.int64), np.zeros(1000, np.int64))
    assert sums.at(np.array([0]), np.array([0])).item() == 2**25 + 1000 - lost
