"""Recorded devices, against the plain way to look a moment up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.population.trace import Trace, Traces, ascending, of_intervals

times = st.lists(st.integers(0, 200), max_size=12).map(sorted)


@given(times, st.booleans(), st.integers(0, 500), st.sampled_from((None, 100.0, 250.0)))
def test_each_time_it_is_the_other_way_round(switches: list[int], begins: bool, t: int, period: float | None) -> None:
    trace = Trace(begins, tuple(map(float, switches)), period)
    state = begins
    for switch in switches:
        if switch <= (t if period is None else t % period):
            state = not state
    assert trace.on(t) == state


@given(times.filter(lambda each: len(each) % 2 == 0), st.integers(0, 900))
def test_intervals_are_on_from_their_beginning_to_before_their_end_over_and_over(edges: list[int], t: int) -> None:
    intervals = list(zip(edges[::2], edges[1::2], strict=True))
    trace = of_intervals(intervals, 300.0)
    assert trace.on(t) == any(start <= t % 300 < end for start, end in intervals)


def test_who_was_recorded_follows_its_own_trace_and_others_one_that_stays_theirs() -> None:
    traces = Traces({f"r{n}": Trace(False, (float(n),)) for n in range(20)}, seed=1)
    assert traces.of("r7") == Trace(False, (7.0,))
    drawn = [traces.of(f"user-{n}") for n in range(200)]
    assert drawn == [traces.of(f"user-{n}") for n in range(200)]
    assert len(set(drawn)) == 20


@pytest.mark.parametrize("bad", [[3.0, 1.0], [float("nan")], [float("inf")], [-1.0]])
def test_what_is_no_series_of_times_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match=r"comes after|is no time"):
        ascending(bad)
