"""When devices are woken, and what time they are told, whatever their clocks and the fleet's show."""

import math

import pytest

from device_sim.clocks import Clocks

NOW_MS, HOUR_MS = 1_000_000_000, 3_600_000


@pytest.mark.parametrize("off_ms", [0, 3 * HOUR_MS, -3 * HOUR_MS])
def test_a_device_is_told_its_own_time_and_woken_by_it(off_ms: int) -> None:
    clocks = Clocks()
    clocks.set("ann", off_ms)
    assert clocks.hear("ann", NOW_MS) == NOW_MS + off_ms
    clocks.wake("ann", NOW_MS + off_ms + 5_000)
    assert not clocks.awake(NOW_MS + 4_999)
    assert clocks.awake(NOW_MS + 5_000) == ["ann"]


def test_who_has_nothing_to_wait_for_or_is_gone_is_left_alone() -> None:
    clocks = Clocks()
    for user_id in ("ann", "ben"):
        clocks.wake(user_id, 0)
    clocks.wake("ann", math.inf)
    clocks.forget("ben")
    assert not clocks.awake(NOW_MS)


def test_everybody_who_waits_is_woken_once_a_clock_is_set() -> None:
    clocks = Clocks()
    for user_id in ("ann", "ben"):
        clocks.wake(user_id, NOW_MS + HOUR_MS)
    assert clocks.set("ann", 1_000) and not clocks.set("ann", 1_000)
    assert clocks.awake(NOW_MS) == ["ann"]
    assert clocks.awake(NOW_MS - 1) == ["ann", "ben"]  # the fleet's own was set back
