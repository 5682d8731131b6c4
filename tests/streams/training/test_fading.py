"""What fades, by how much, and what never does."""

import numpy as np
import pytest

from streams.training.fading import AT_ONCE, HALF_LIFE_MS, LEAST, Fading
from wire.moments import WallMs

NOW = 10**12


def told(lately: Fading, events: int, now_ms: int) -> None:
    for at in range(0, events, AT_ONCE):
        some = min(AT_ONCE, events - at)
        lately.add(np.array([some, 2.0 * some]), WallMs(now_ms))


def test_what_was_said_counts_half_as_much_after_a_day() -> None:
    lately = Fading(2)
    told(lately, 100 * LEAST, NOW)
    told(lately, 1, NOW + HALF_LIFE_MS)
    assert lately.sums == pytest.approx(np.array([50, 100]) * LEAST, rel=1e-4)


def test_a_few_events_stay_however_old_they_are() -> None:
    lately = Fading(2)
    told(lately, LEAST // 2, NOW)
    told(lately, 1, NOW + 1000 * HALF_LIFE_MS)
    assert lately.sums.tolist() == [LEAST // 2 + 1, LEAST + 2]
    told(lately, 100 * LEAST, NOW + 1001 * HALF_LIFE_MS)
    told(lately, 1, NOW + 2000 * HALF_LIFE_MS)
    assert lately.sums == pytest.approx([LEAST, 2 * LEAST]), "of more, as many as leave nothing to chance"


def test_a_clock_that_goes_back_fades_nothing_and_no_time_twice() -> None:
    straight, astray = Fading(2), Fading(2)
    for each in (straight, astray):
        told(each, 100 * LEAST, NOW)
    told(astray, 1, NOW - HALF_LIFE_MS)
    told(straight, 1, NOW)
    for each in (straight, astray):
        told(each, 1, NOW + HALF_LIFE_MS)
    assert straight.sums.tolist() == astray.sums.tolist()


def test_what_tells_of_many_events_at_once_counts_as_few() -> None:
    lately = Fading(2)
    lately.add(np.array([10.0**9, 3.0 * 10**9]), WallMs(NOW))
    assert lately.sums == pytest.approx([AT_ONCE, 3 * AT_ONCE])
