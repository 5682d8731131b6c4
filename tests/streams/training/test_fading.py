"""What fades, by how much, and what never does."""

import math

import numpy as np
import pytest

from streams.training.fading import AT_ONCE, HALF_LIFE_MS, LEAST_EVENTS, Fading
from wire.moments import WallMs

NOW = 10**12


def told(lately: Fading, events: int, now_ms: int) -> None:
    for at in range(0, events, AT_ONCE):
        some = min(AT_ONCE, events - at)
        lately.add(np.array([some, 0.5 * some]), some, WallMs(now_ms))


def test_what_was_said_counts_half_as_much_after_a_day() -> None:
    lately = Fading(2)
    told(lately, 100 * LEAST_EVENTS, NOW)
    told(lately, 1, NOW + HALF_LIFE_MS)
    assert lately.sums == pytest.approx(np.array([50, 25]) * LEAST_EVENTS, rel=1e-4)


def test_what_few_events_passed_since_stays_however_old_it_is() -> None:
    lately = Fading(2)
    told(lately, AT_ONCE, NOW)
    lately.add(np.zeros(2), 1, WallMs(NOW + 1000 * HALF_LIFE_MS))
    assert lately.sums == pytest.approx(np.array([AT_ONCE, AT_ONCE / 2]), rel=1.1 * AT_ONCE / LEAST_EVENTS)
    for day in range(1, 1001):
        told(lately, LEAST_EVENTS, NOW + 1000 * HALF_LIFE_MS * day)
    assert lately.sums == pytest.approx([LEAST_EVENTS, LEAST_EVENTS / 2], rel=0.05)


def test_what_passed_fades_whether_or_not_it_says_anything() -> None:
    lately = Fading(2)
    told(lately, AT_ONCE, NOW)
    before = lately.sums.copy()
    for _ in range(LEAST_EVENTS // 10):
        lately.add(np.zeros(2), 10, WallMs(NOW + 1000 * HALF_LIFE_MS))
        lately.add(np.zeros(2), 0, WallMs(NOW + 2000 * HALF_LIFE_MS))
    assert lately.sums == pytest.approx(before / math.e, rel=AT_ONCE / LEAST_EVENTS)


def test_a_clock_that_goes_back_fades_nothing_and_no_time_twice() -> None:
    straight, astray = Fading(2), Fading(2)
    for each in (straight, astray):
        told(each, 100 * LEAST_EVENTS, NOW)
    told(astray, 1, NOW - HALF_LIFE_MS)
    told(straight, 1, NOW)
    for each in (straight, astray):
        told(each, 1, NOW + HALF_LIFE_MS)
    assert straight.sums.tolist() == astray.sums.tolist()


@pytest.mark.parametrize("news", [(10.0**9, 10.0**9 / 2), (-(10.0**9), 0.0), (0.0, 10.0**9), (1.0, -(10.0**9))])
def test_what_tells_of_many_events_or_nats_at_once_counts_as_few(news: tuple[float, float]) -> None:
    lately = Fading(2)
    lately.add(np.array(news), 1, WallMs(NOW))
    assert np.abs(lately.sums).max() == pytest.approx(AT_ONCE)
    assert lately.sums * max(map(abs, news)) == pytest.approx(np.array(news) * AT_ONCE), "their ratio stays"


def test_a_device_that_tells_of_fewer_events_than_before_brings_nothing_back() -> None:
    """As from an old copy of its state, or because it lies."""
    lately = Fading(2)
    told(lately, 100 * LEAST_EVENTS, NOW)
    told(lately, 1, NOW + HALF_LIFE_MS)
    before = lately.sums.copy()
    lately.add(np.array([-1e9, 0.0]), -1e9, WallMs(NOW + HALF_LIFE_MS))
    assert lately.sums == pytest.approx(before - [AT_ONCE, 0])
