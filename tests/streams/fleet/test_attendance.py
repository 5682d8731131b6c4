"""A fleet whose devices are not always there: links, trainings and clocks, with time that passes when the test says."""

from pathlib import Path

import msgspec
import pytest

from device_sim.fleet import Fleet
from monitor.metrics import Metrics
from streams.faults.whose import Devices
from streams.fleet.attendance import AGAIN_MS, LOOK_MS, Attendance
from streams.fleet.drop import AFTER_S, Drop
from streams.fleet.orders import InForce, Ordered, OrderFile, Standing, begun
from streams.population.axis import Constant
from streams.population.population import Population
from streams.population.table import population
from tests.clock import HandClock
from tests.device_sim.memory_link import MemoryBroker, MemoryLink
from wire.errors import InputError

NOW_MS = 1_700_000_000_000
NIGHT = {"day": "20s", "connectivity": {"kind": "law", "swing": 100, "base": 0, "peak": "6h", "times": 48}}
USERS = [f"user-{n}" for n in range(40)]


class World:
    """A fleet of 40 whose link is up at once."""

    def __init__(self) -> None:
        self.broker, self.clock, self.fleet = MemoryBroker(), HandClock(NOW_MS), Fleet(Metrics())
        self.link = MemoryLink(self.broker)

    def attendance(self, orders: Standing | OrderFile | Drop) -> Attendance:
        made = Attendance(self.fleet, self.link, self.clock, orders)
        for user in USERS:
            self.fleet.device(user)
            made.welcome(user)
        return made

    def passes(self, attendance: Attendance, ms: int) -> None:
        for _ in range(0, ms, LOOK_MS):
            self.clock.passes(LOOK_MS)
            attendance.look()
            for arrival in self.link.take():
                if arrival.kind == "up":
                    self.fleet.connected(arrival.user_id, self.clock.wall_ms())
                elif arrival.kind == "down":
                    self.fleet.link_lost(arrival.user_id, self.clock.wall_ms())

    @property
    def up(self) -> int:
        return sum(device.connected for device in self.fleet.devices.values())


@pytest.fixture
def world() -> World:
    return World()


def people(**says: object) -> Standing:
    return Standing([InForce(population(says, "here", 1), NOW_MS)])


def test_without_a_population_everyone_is_there_and_may_train(world: World) -> None:
    attendance = world.attendance(Standing(()))
    world.passes(attendance, 1_000)
    assert world.up == 40
    assert all(map(attendance.may_train, USERS))


def test_devices_leave_and_come_as_their_population_says(world: World) -> None:
    attendance = world.attendance(people(**NIGHT))
    there = []
    for _ in range(40):
        world.passes(attendance, 1_000)
        there.append(world.up)
    assert there[1:8] == there[21:28] == [40] * 7
    assert there[11:18] == [0] * 7
    assert world.fleet.counts["attendances", "left"] == 80
    assert world.fleet.counts["attendances", "came"] == 40


def test_who_is_not_available_trains_later_and_who_is_slow_later_still(world: World) -> None:
    away = world.attendance(people(availability=0))
    away.look()
    assert not any(map(away.may_train, USERS)) and not any(map(away.may_train, USERS))
    assert world.fleet.counts["attendances", "put_off"] == 40
    slow = world.attendance(people(responsiveness="25%", slowest="4s"))
    slow.look()
    assert not any(map(slow.may_train, USERS))
    world.passes(slow, 2_500)
    assert not any(map(slow.may_train, USERS))
    world.passes(slow, 500)
    assert all(map(slow.may_train, USERS))
    assert not any(map(slow.may_train, USERS))  # the next training takes as long
    assert world.fleet.counts["attendances", "delayed"] == 80


def test_what_a_device_does_not_finish_it_begins_anew(world: World) -> None:
    attendance = world.attendance(people(completeness="50%"))
    attendance.look()
    left, rounds = set(USERS), 0
    while left:
        left -= {user for user in left if attendance.may_train(user)}
        world.passes(attendance, AGAIN_MS)
        rounds += 1
    assert 3 < rounds < 20
    assert world.fleet.counts["attendances", "unfinished"] == pytest.approx(40, abs=20)


def test_clocks_are_off_as_long_as_the_population_is_in_force(world: World, tmp_path: Path) -> None:
    path = tmp_path / "orders"
    attendance = world.attendance(OrderFile(path))
    attendance.look()
    assert not world.fleet.clocks.off_ms
    path.write_bytes(msgspec.json.encode([Ordered({"clock": "3h"}, (0.0, 0.5), 1, NOW_MS)]))
    world.passes(attendance, LOOK_MS)
    off = {user: world.fleet.clocks.off_ms.get(user, 0) for user in USERS}
    assert set(off.values()) == {0, 3 * 3_600_000, -3 * 3_600_000}
    assert {user for user in USERS if off[user]} == {user for user in USERS if user in Devices(0.0, 0.5, 1)}
    path.write_bytes(b"[]")
    world.passes(attendance, LOOK_MS)
    assert set(world.fleet.clocks.off_ms.values()) == {0}
    assert world.fleet.counts["attendances", "clock_set"] == 2 * sum(map(bool, off.values()))


def test_orders_that_cannot_be_understood_are_told_with_their_file(world: World, tmp_path: Path) -> None:
    path = tmp_path / "orders"
    path.write_bytes(b'[{"table": 3}]')
    with pytest.raises(InputError, match=f"{path}: no orders"):
        OrderFile(path).look(world.fleet, NOW_MS)


def test_a_drop_cuts_its_share_off_once_and_accounts_for_what_waited(world: World) -> None:
    drop = Drop(0.5, 10.0, seed=1)
    attendance = world.attendance(drop)
    world.passes(attendance, round(1000 * AFTER_S))
    assert "did not begin" in drop.account.line()
    world.passes(attendance, 1_000)
    dropped = [user for user in USERS if user in drop.members]
    assert world.up == 40 - len(dropped)
    for user in dropped:
        world.fleet.devices[user].outbox.add("event", b"...")
    world.passes(attendance, 9_000)
    assert "it was not over yet" in drop.account.line()
    world.passes(attendance, 2_000)
    assert world.up == 40
    for user in dropped:
        world.fleet.devices[user].outbox.confirm(["event"])
    world.passes(attendance, 1_000)
    account = drop.account
    assert (account.devices, account.cut, account.waited, account.waiting) == (len(dropped),) * 3 + (0,)
    assert account.connected_s == pytest.approx(0.5, abs=1.0)
    assert account.delivered_s == pytest.approx(2.5, abs=1.0)
    assert account.line().startswith(f"50% of devices dropped for 10 s: {len(dropped)} of {len(dropped)} cut, all back")


def test_two_populations_at_once_a_device_keeps_to_both(world: World) -> None:
    nobody = Population(1, connectivity=Constant("x", 1, 0.0), members=Devices(0.0, 0.3, 1))
    nor_they = Population(1, availability=Constant("x", 1, 0.0), members=Devices(0.6, 1.0, 1))
    attendance = world.attendance(Standing([InForce(nobody, NOW_MS), InForce(nor_they, NOW_MS)]))
    world.passes(attendance, 1_000)
    there = {user for user in USERS if world.fleet.devices[user].connected}
    assert there == {user for user in USERS if user in Devices(0.3, 0.6, 1)}
    assert {user for user in USERS if not attendance.may_train(user)} == {
        user for user in USERS if user in Devices(0.6, 1.0, 1)
    }


def test_a_population_of_our_days_has_our_times_of_day_and_others_begin_now() -> None:
    assert begun({}, "here", 1, NOW_MS).at_s(NOW_MS) == NOW_MS / 1000 % 86_400
    assert begun({"day": "20s"}, "here", 1, NOW_MS).at_s(NOW_MS) == 0
    assert begun({"starts": "6h"}, "here", 1, NOW_MS).at_s(NOW_MS) == 0
