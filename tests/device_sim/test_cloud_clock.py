"""Ages by clocks that are wrong: minutes off, set ahead or back, standing still."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sim.cloud_clock import LEAST, REMEMBERED, CloudClock
from wire.moments import WallMs

MINUTE = 60_000
CLOUD_MS = 1_700_000_000_000


def heard(clock: CloudClock, cloud_ms: int, off_ms: int, took_ms: int = 1_000) -> int:
    """Something made at `cloud_ms` comes by a device whose clock is off by so much."""
    return clock.heard(WallMs(cloud_ms), clock.steady_ms(WallMs(cloud_ms + took_ms + off_ms)))


@pytest.mark.parametrize("off_ms", [-400 * 1440 * MINUTE, -11 * MINUTE, 0, 11 * MINUTE, 400 * 1440 * MINUTE])
def test_how_old_something_is_does_not_depend_on_the_devices_clock(off_ms: int) -> None:
    clock = CloudClock()
    assert [heard(clock, CLOUD_MS + n * MINUTE, off_ms) for n in range(5)] == [0] * 5
    assert heard(clock, CLOUD_MS + 9 * MINUTE, off_ms, took_ms=5 * MINUTE) == pytest.approx(5 * MINUTE, abs=1_000)


def test_one_message_decides_nothing() -> None:
    clock = CloudClock()
    for n in range(5):
        heard(clock, CLOUD_MS + n * MINUTE, 0)
    clock.heard(WallMs(CLOUD_MS + 10**9), clock.steady_ms(WallMs(CLOUD_MS + 5 * MINUTE)))
    assert heard(clock, CLOUD_MS + 6 * MINUTE, 0) == 0


def test_a_clock_that_is_set_ahead_is_noticed_after_a_few_messages() -> None:
    clock = CloudClock()
    for n in range(REMEMBERED):
        heard(clock, CLOUD_MS + n * MINUTE, 0)
    ages = [heard(clock, CLOUD_MS + (REMEMBERED + n) * MINUTE, 30 * MINUTE) for n in range(LEAST + 1)]
    assert ages == [30 * MINUTE] * (LEAST - 1) + [0, 0]


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=30))
def test_read_steadily_a_clock_never_goes_back_and_goes_on_as_fast(steps: list[int]) -> None:
    clock, wall_ms, now_ms = CloudClock(), CLOUD_MS, clock_start()
    for step in steps:
        wall_ms += step
        steady_ms = clock.steady_ms(WallMs(wall_ms))
        assert steady_ms >= now_ms and clock.wall_ms(steady_ms) == wall_ms
        assert clock.steady_ms(WallMs(wall_ms + 7)) == steady_ms + 7
        wall_ms, now_ms = wall_ms + 7, steady_ms + 7


def clock_start() -> int:
    return -(10**18)


def test_a_clock_set_back_leaves_ages_as_they_are() -> None:
    clock = CloudClock()
    for n in range(5):
        heard(clock, CLOUD_MS + n * MINUTE, 0)
    clock.steady_ms(WallMs(CLOUD_MS + 4 * MINUTE - 10**9))
    assert [heard(clock, CLOUD_MS + n * MINUTE, -(10**9)) for n in range(5, 9)] == pytest.approx([0] * 4, abs=2_000)


def test_a_restart_goes_on_with_what_it_knew() -> None:
    clock = CloudClock()
    for n in range(5):
        heard(clock, CLOUD_MS + n * MINUTE, 11 * MINUTE)
    again = CloudClock(clock.state())
    assert heard(again, CLOUD_MS, 11 * MINUTE, took_ms=5 * MINUTE) == 5 * MINUTE - 1_000
