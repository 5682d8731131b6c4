"""Devices come back when the cloud says, for as long as it said, and never later than an hour."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sim.backoff import CAP_S
from device_sim.comeback import Comeback
from device_sim.outcome import Paces
from wire.pace import MOST_S, Pace, encode_pace

HOURS = st.floats(0, MOST_S)


@given(st.integers(0, 2**31), st.builds(Pace, HOURS, HOURS, HOURS), st.integers(0, 5000), st.floats(0, 9000))
def test_no_pause_is_longer_than_an_hour(seed: int, pace: Pace, failures: int, after_s: float) -> None:
    comeback = Comeback(Random(seed))
    outcome = comeback.hear(encode_pace(pace), 0.0)
    pause_s = comeback.pause_s(failures, after_s)
    assert 0 <= pause_s <= MOST_S
    if outcome is not Paces.OBEYED or after_s >= pace.lasts_s:
        assert pause_s <= CAP_S


def paced(pace: Pace, failures: int, now_s: float, heard_s: float = 100.0) -> list[float]:
    comeback = Comeback(Random(1))
    assert comeback.hear(encode_pace(pace), heard_s) is Paces.OBEYED
    return sorted(comeback.pause_s(failures, now_s) for _ in range(1000))


def test_who_is_cut_waits_first_and_comes_back_spread_as_far_as_the_pace_says() -> None:
    pauses = paced(Pace(wait_s=30, spread_s=60, lasts_s=600), failures=0, now_s=699)
    assert 30 <= pauses[0] < 32 and 88 < pauses[-1] <= 90
    assert pauses[500] == pytest.approx(60, abs=5)


def test_who_finds_nobody_there_does_not_wait_again() -> None:
    assert paced(Pace(wait_s=30, spread_s=60, lasts_s=600), failures=1, now_s=699)[0] < 2


def test_a_pace_that_is_over_or_taken_back_means_nothing() -> None:
    assert paced(Pace(wait_s=30, spread_s=60, lasts_s=600), failures=0, now_s=700)[-1] <= 0.5
    comeback = Comeback(Random(1))
    comeback.hear(encode_pace(Pace(30, 60, 600)), 0.0)
    assert comeback.hear(b"", 1.0) is Paces.TAKEN_BACK
    assert comeback.pause_s(0, 2.0) <= 0.5


def test_what_is_no_pace_is_told_apart_and_changes_nothing() -> None:
    comeback = Comeback(Random(1))
    comeback.hear(encode_pace(Pace(30, 0, 600)), 0.0)
    assert comeback.hear(b'{"format":"pace/1","wait_s":999999,"spread_s":0,"lasts_s":1}', 1.0) is Paces.MALFORMED
    assert comeback.pause_s(0, 2.0) >= 30
