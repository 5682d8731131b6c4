"""A fleet is told whom its devices are like, and its counts say what came of it."""

from pathlib import Path

from device_sim.fleet import Fleet
from monitor.metrics import Metrics
from streams.faults.crowd import Crowd
from streams.faults.people import People
from streams.faults.timetable import Order
from streams.faults.whose import Devices
from streams.fleet.orders import OrderFile

NOW_MS = 1_700_000_000_000


def test_a_fleet_follows_what_is_ordered_until_it_is_over(tmp_path: Path) -> None:
    counts: dict[str, float] = {"left": 2, "accepted": 50}
    path = tmp_path / "orders"
    crowd, orders, fleet = Crowd(path, lambda: counts), OrderFile(path), Fleet(Metrics())
    assert orders.look(fleet, NOW_MS) == []
    people = People(like="overnight", day="20s")
    effect, end = crowd.begin(people, Order(people, 0, 9, Devices(0.0, 0.4, 3)), 3, NOW_MS)
    _other, end_other = crowd.begin(People(clock="1h"), Order(People(clock="1h"), 0, 9), 3, NOW_MS)
    night, clocks = orders.look(fleet, NOW_MS + 500)
    assert night.at_s(NOW_MS + 500) == 0.5
    by_night = [user for user in map(str, range(200)) if not night.population.connected(user, 10.0)]
    assert by_night and all(user in Devices(0.0, 0.4, 3) for user in by_night)
    assert abs(clocks.population.clock_off_s("ann")) == 3600
    counts |= {"left": 5, "put_off": 4, "accepted": 90}
    end()
    assert effect.seen == "3 times away, 4 trainings put off"
    assert effect.acted(stops=False)
    assert len(orders.look(fleet, NOW_MS)) == 1
    end_other()
    assert orders.look(fleet, NOW_MS) == []


def test_what_nobody_followed_did_not_act(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path / "orders", dict)
    effect, end = crowd.begin(People(availability=0), Order(People(availability=0), 0, 9), 1, NOW_MS)
    end()
    assert not effect.acted(stops=False)
