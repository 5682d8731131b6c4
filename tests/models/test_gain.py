"""Gains of events against the plain sums of their interval, and what a fleet's are taken for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.gain import DOUBTFUL, HOPEFUL, MOST, WORTH, Interval, fleet_gain

some = st.lists(st.tuples(st.floats(-1, 1), st.floats(-0.9, 0.9)), min_size=1, max_size=30)


@given(some)
def test_gains_of_an_interval_say_how_residuals_and_leans_vary_together(
    events: list[tuple[float, float]],
) -> None:
    interval = Interval()
    gains = [interval.gain(*event) for event in events]
    residual, lean = np.array(events).T
    whole = float(((residual - residual.mean()) * (lean - lean.mean())).sum())
    assert gains[0] is None
    if all(gain is not None and abs(gain) < MOST for gain in gains[1:]):
        assert sum(gain or 0.0 for gain in gains) == pytest.approx(whole, abs=1e-9)


def test_what_is_the_same_for_all_of_an_interval_gains_nothing() -> None:
    """A user who takes everything for an hour: a head that leans up by as much for each ranks nothing better."""
    interval = Interval()
    assert [interval.gain(0.5, 0.3) for _ in range(10)] == [None, *[0.0] * 9]


@pytest.mark.parametrize("before", [HOPEFUL, DOUBTFUL])
@pytest.mark.parametrize(("mean", "pays"), [(0.0, False), (3 * WORTH, True), (-WORTH, False)])
def test_a_fleet_of_some_events_knows_whether_heads_pay_whoever_asks(
    mean: float, before: tuple[float, float], *, pays: bool
) -> None:
    assert (fleet_gain(before, 2000, 2000 * mean, 2000 * 0.04**2) >= WORTH) == pays


def test_a_first_bad_event_or_ten_tell_who_hopes_nothing_and_good_ones_nothing_who_doubts() -> None:
    assert fleet_gain(HOPEFUL, 1, -0.1, 0.01) >= WORTH and fleet_gain(HOPEFUL, 10, -0.2, 0.02) >= WORTH
    assert fleet_gain(DOUBTFUL, 0, 0.0, 0.0) < WORTH and fleet_gain(DOUBTFUL, 10, 0.05, 0.02) < WORTH


@pytest.mark.parametrize("events", [-100.0, -112.36, -10_000.0])
def test_fewer_than_no_events_say_as_little_as_none(events: float) -> None:
    assert fleet_gain(HOPEFUL, events, 0.0, 0.0) == HOPEFUL[0] and fleet_gain(DOUBTFUL, events, 0.0, 0.0) == DOUBTFUL[0]
