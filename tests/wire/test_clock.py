"""What `wire.clock` promises, held against every clock: a simulated one joins by a line in `CLOCKS`."""

from datetime import UTC, datetime

import pytest

from streams.simulation.timeline import Timeline, VirtualClock
from tests.clock import HandClock
from wire.clock import Clock, SystemClock, after

CLOCKS = [
    pytest.param(SystemClock(), id="system"),
    pytest.param(HandClock(1_700_000_000_000), id="by hand"),
    pytest.param(VirtualClock(Timeline()), id="simulated"),
]


@pytest.mark.parametrize("clock", CLOCKS)
def test_the_steady_clock_never_goes_back_and_both_are_whole_milliseconds(clock: Clock) -> None:
    read = [clock.steady_ms() for _ in range(1000)]
    assert read == sorted(read)
    assert all(isinstance(each, int) for each in (*read, clock.wall_ms()))


@pytest.mark.parametrize("clock", CLOCKS)
def test_the_wall_clock_shows_a_date_of_today_and_what_comes_after(clock: Clock) -> None:
    assert clock.wall_ms() > 1_600_000_000_000
    before, woken = clock.wall_ms(), after(clock, 1500)
    assert woken.tzinfo is UTC and before + 1500 <= woken.timestamp() * 1000 + 0.5


def test_a_wall_clock_may_be_set_while_the_steady_one_goes_on() -> None:
    clock = HandClock(10_000, steady_ms=5)
    clock.passes(100, step_ms=-3000)
    assert (clock.wall_ms(), clock.steady_ms()) == (7100, 105)
    assert after(clock, 0) == datetime.fromtimestamp(7.1, UTC)
