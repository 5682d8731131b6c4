"""Constants and laws: how often who is on, and that asking changes nothing."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.population.axis import DAY_S, Constant, Law, LogNormal

PEOPLE = [f"user-{n}" for n in range(400)]
moments = st.lists(st.floats(-1e6, 1e8), min_size=1, max_size=20)


@given(moments, st.integers(0, 1 << 63), st.sampled_from(("constant", "law")))
def test_in_whichever_order_moments_are_asked_about_the_answers_are_the_same(
    times: list[float], seed: int, kind: str
) -> None:
    axis = Constant("x", seed, 0.4) if kind == "constant" else Law("x", seed, LogNormal(0.9, 0.5), LogNormal(30, 1.0))
    asked = [(device, t) for device in PEOPLE[:3] for t in times]
    answers = {each: axis.on(*each) for each in asked}
    random.Random(seed).shuffle(asked)
    assert all(axis.on(*each) == answers[each] for each in asked)
    assert all(0 <= axis.level(*each) <= 1 for each in asked)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_constant_share_is_on_at_any_time_and_each_device_for_that_share_of_the_time(share: float) -> None:
    axis = Constant("x", 1, share)
    assert sum(axis.on(user, 1234.5) for user in PEOPLE) == pytest.approx(share * 400, abs=40)
    assert sum(axis.on("ann", 3600.0 * hour) for hour in range(400)) == pytest.approx(share * 400, abs=40)


def test_the_law_is_the_sine_of_the_day_times_what_each_device_has_of_its_own() -> None:
    law = Law("x", 1)
    at = {hour: law.level("ann", hour * 3600.0) for hour in (0, 6, 12, 18, 30)}
    assert at == pytest.approx({0: 0.5, 6: 0.9, 12: 0.5, 18: 0.1, 30: 0.9})
    for hour, p in at.items():
        assert sum(law.on(user, hour * 3600.0) for user in PEOPLE) == pytest.approx(400 * p, abs=60)
    own = Law("x", 1, LogNormal(0.5, 1.0))
    ratios = [own.level(user, 0.0) / own.level(user, 18 * 3600.0) for user in PEOPLE if own.level(user, 0.0) < 1]
    assert ratios == pytest.approx([5.0] * len(ratios))
    assert len({own.level(user, 0.0) for user in PEOPLE}) > 300


def test_devices_come_as_often_as_the_law_says() -> None:
    law = Law("x", 3, times=LogNormal(24.0))
    comes = 0
    for user in PEOPLE[:60]:
        seen = [law.on(user, 60.0 * minute) for minute in range(int(DAY_S / 60))]
        comes += sum(now and not before for before, now in pairwise(seen))
    assert comes / 60 == pytest.approx(24, rel=0.1)


def test_another_seed_or_another_axis_draws_others() -> None:
    first = [Constant("x", 1, 0.5).on(user, 0.0) for user in PEOPLE]
    assert first != [Constant("x", 2, 0.5).on(user, 0.0) for user in PEOPLE]
    assert first != [Constant("y", 1, 0.5).on(user, 0.0) for user in PEOPLE]
