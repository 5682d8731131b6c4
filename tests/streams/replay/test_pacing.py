import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.replay.pacing import Pacer, parse_speed
from wire.errors import InputError

TIMES = np.array([1000, 2000, 2000, 5000, 9000])


def test_an_event_is_due_when_its_time_has_come_at_this_speed() -> None:
    pacer = Pacer(2)
    assert pacer.due(TIMES, 0, now_s=50) == 1
    assert pacer.due(TIMES, 1, now_s=50.4) == 1
    assert pacer.due(TIMES, 1, now_s=50.5) == 3
    assert pacer.wait_s(5000, now_s=50.5) == pytest.approx(1.5)
    assert pacer.due(TIMES, 3, now_s=60) == 5  # held up for long: it catches up
    assert pacer.wait_s(9000, now_s=60) == 0


def test_max_waits_for_nothing() -> None:
    pacer = Pacer(parse_speed("max"))
    assert pacer.due(TIMES, 0, now_s=0) == len(TIMES)
    assert pacer.wait_s(9000, now_s=0) == 0


def test_an_event_earlier_than_the_one_before_does_not_hold_up_the_rest() -> None:
    pacer = Pacer(1)
    times = np.array([5000, 1000, 5000, 6000])
    assert pacer.due(times, 0, now_s=0) == 3


@given(st.lists(st.integers(0, 10_000), min_size=1), st.floats(0.1, 1000), st.lists(st.floats(0, 5), max_size=20))
def test_no_event_is_early_and_none_that_is_due_is_held_back(
    steps: list[int], speed: float, sleeps: list[float]
) -> None:
    times = np.cumsum(steps)
    pacer, now_s, at = Pacer(speed), 100.0, 0
    for sleep in (0.0, *sleeps):
        now_s += sleep
        at = pacer.due(times, at, now_s) if at < len(times) else at
        reached_ms = times[0] + (now_s - 100) * 1000 * speed
        assert (times[:at] <= reached_ms + 1e-6).all()
        assert (times[at:] > reached_ms - 1e-6).all()


@pytest.mark.parametrize("text", ["0", "-1", "nan", "fast", ""])
def test_speeds_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="--speed"):
        parse_speed(text)
