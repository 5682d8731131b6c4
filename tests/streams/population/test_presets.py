"""The presets reproduce the numbers that they cite."""

from itertools import pairwise

import pytest

from streams.population.axis import DAY_S, Axis
from streams.population.table import find_table, population

STEP_S = 60.0


def stretches(axis: Axis, device: str, step_s: float) -> tuple[int, float]:
    """How often it comes in a day, and how long it is there altogether, s."""
    seen = [axis.on(device, step_s * n) for n in range(-1, int(DAY_S / step_s))]
    return sum(now and not before for before, now in pairwise(seen)), step_s * sum(seen[1:])


def test_urban_airship_55_percent_reconnect_fewer_than_10_times_a_day_4_percent_a_hundred_times_or_more() -> None:
    axis = population(find_table("urban-airship"), "preset", seed=1).connectivity
    times = [stretches(axis, f"phone-{n}", 60.0)[0] for n in range(600)]
    assert sum(n < 10 for n in times) / 600 == pytest.approx(0.55, abs=0.05)
    assert sum(n >= 100 for n in times) / 600 == pytest.approx(0.04, abs=0.015)


def test_falaki_people_interact_10_to_200_times_a_day_for_10_to_250_seconds() -> None:
    axis = population(find_table("falaki"), "preset", seed=1).availability
    days = [stretches(axis, f"person-{n}", 10.0) for n in range(100)]
    assert sum(10 <= times <= 200 for times, _ in days) / 100 > 0.9
    assert sum(10 <= there_s / max(times, 1) <= 250 for times, there_s in days) / 100 > 0.9
    assert min(times for times, _ in days) < 20
    assert max(times for times, _ in days) > 120


def test_fedscale_the_top_30_percent_of_devices_do_86_percent_of_the_work() -> None:
    axis = population(find_table("fedscale"), "preset", seed=1).availability
    work = sorted((stretches(axis, f"device-{n}", 1200.0)[1] for n in range(2000)), reverse=True)
    assert sum(work[:600]) / sum(work) == pytest.approx(0.86, abs=0.03)


def test_overnight_nobody_is_there_by_day_and_nearly_all_are_by_night() -> None:
    people = population(find_table("overnight"), "preset", seed=1)
    there = {hour: sum(people.connected(f"phone-{n}", 3600.0 * hour) for n in range(200)) for hour in (2, 4, 9, 13, 19)}
    assert min(there[2], there[4]) > 160
    assert there[9] == there[13] == there[19] == 0
