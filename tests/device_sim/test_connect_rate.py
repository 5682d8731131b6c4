"""Turns of a fleet's connections: never more than the rate in any stretch of time, and none is wasted."""

from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sim.connect_rate import ConnectRate

GAPS = st.lists(st.one_of(st.just(0.0), st.floats(0, 3)), min_size=1, max_size=80)


@given(GAPS, st.floats(0.5, 500), st.integers(1, 20))
def test_no_stretch_of_time_has_more_turns_than_burst_and_rate_allow(
    gaps: list[float], per_s: float, burst: int
) -> None:
    rate = ConnectRate(per_s, burst)
    turns = [now_s + rate.wait_s(now_s) for now_s in accumulate(gaps)]
    assert turns == sorted(turns)
    for first in range(len(turns)):
        for last in range(first, len(turns)):
            assert last - first + 1 <= burst + per_s * (turns[last] - turns[first]) + 1e-6


@given(st.floats(1, 500), st.integers(1, 20))
def test_a_storm_is_served_at_the_full_rate(per_s: float, burst: int) -> None:
    rate = ConnectRate(per_s, burst)
    waits = [rate.wait_s(7.0) for _ in range(burst + 100)]
    assert waits[:burst] == pytest.approx([0.0] * burst)
    assert waits[-1] == pytest.approx(100 / per_s)


def test_the_peak_of_a_storm_is_hardly_above_its_mean() -> None:
    rate = ConnectRate(200.0, 10)
    per_second = np.bincount([int(rate.wait_s(0.0)) for _ in range(1000)])
    assert per_second.max() <= 1.1 * per_second[:-1].mean()


@given(st.lists(st.floats(0, 0.05), min_size=1, max_size=50))
def test_who_comes_slower_than_the_rate_never_waits(extra: list[float]) -> None:
    rate = ConnectRate(per_s=10.0, burst=1)
    moments = accumulate(0.1001 + more for more in extra)
    assert all(rate.wait_s(now_s) == 0 for now_s in moments)
