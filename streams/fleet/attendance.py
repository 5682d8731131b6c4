"""Who of a fleet is there, has a link, and may train just now: what populations say, done to links and trainings.

Populations are in force from a moment on, those that a file orders until it orders others. Without any, everyone is
always there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from device_sim.fleet import Fleet
from device_sim.link import Link
from device_sim.outcome import Attendances
from streams.faults.whose import Devices
from streams.population.population import Population
from streams.population.table import population
from wire.clock import Clock
from wire.errors import InputError

LOOK_MS = 500  # between looks at who is there: 15 µs a device, 3 % of a core for a thousand
_DAY_MS = 86_400_000
AGAIN_MS = 1_000  # until what was not finished is begun anew


@dataclass(frozen=True, slots=True)
class InForce:
    """A population, and when it began (wall clock)."""

    population: Population
    since_ms: int

    def at_s(self, now_ms: int) -> float:
        """The population's time."""
        return (now_ms - self.since_ms) / 1000


def begun(table: Mapping[str, object], where: str, seed: int, now_ms: int) -> InForce:
    """A population that begins now, or at last midnight (UTC) where its days are ours; raises `InputError`."""
    days = "day" not in table and "starts" not in table
    return InForce(population(table, where, seed), now_ms - now_ms % _DAY_MS if days else now_ms)


class Orders(Protocol):
    """Where it is said which populations there are."""

    def look(self, fleet: Fleet, now_ms: int) -> Sequence[InForce]:
        """Those that are in force now; `fleet` is as those made it that were in force until now."""


class Standing:
    """Populations that were known from the beginning."""

    def __init__(self, populations: Sequence[InForce]) -> None:
        self._populations = populations

    def look(self, fleet: Fleet, now_ms: int) -> Sequence[InForce]:  # noqa: ARG002
        """All of them."""
        return self._populations


EVERYONE = Standing(())


class Ordered(msgspec.Struct, frozen=True):
    """One population of a file of orders: its table, whose devices of the circle, and since when."""

    table: dict[str, object]
    members: tuple[float, float]
    seed: int
    since_ms: int


class OrderFile:
    """Populations in a file that another process writes while we run; none while there is no file."""

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, b""
        self._populations: list[InForce] = []

    def look(self, fleet: Fleet, now_ms: int) -> Sequence[InForce]:  # noqa: ARG002
        """What the file says now; raises `InputError` when it says nothing that can be understood."""
        raw = self._path.read_bytes() if self._path.exists() else b""
        if raw != self._read:
            self._read, self._populations = raw, [self._of(each) for each in self._orders(raw)]
        return self._populations

    def _orders(self, raw: bytes) -> list[Ordered]:
        try:
            return msgspec.json.decode(raw, type=list[Ordered]) if raw else []
        except msgspec.DecodeError as error:
            raise InputError(f"{self._path}: no orders: {error}") from error

    def _of(self, each: Ordered) -> InForce:
        members = Devices(*each.members, each.seed)
        return InForce(population(each.table, str(self._path), each.seed, members), each.since_ms)


class Attendance:
    """Keeps the devices of a fleet to what `orders` say of them."""

    def __init__(self, fleet: Fleet, link: Link, clock: Clock, orders: Orders) -> None:
        self._fleet, self._link, self._clock, self._orders = fleet, link, clock, orders
        self._in_force: Sequence[InForce] = ()
        self._away: set[str] = set()
        self._ready_ms: dict[str, float] = {}  # when a training may begin that is asked for
        self._look_at_ms = 0

    @property
    def rules(self) -> bool:
        """Whether there is anything to keep to."""
        return bool(self._in_force)

    def welcome(self, user_id: str) -> None:
        """A device of the fleet begins."""
        self._link.open(user_id)
        self._keep(user_id, self._clock.wall_ms())

    def forget(self, user_id: str) -> None:
        """The device is gone for good."""
        self._away.discard(user_id)
        self._ready_ms.pop(user_id, None)

    def look(self) -> None:
        """See who left and who came; nothing, if the last look was just now."""
        if (steady_ms := self._clock.steady_ms()) < self._look_at_ms:
            return
        self._look_at_ms = steady_ms + LOOK_MS
        now_ms, before = self._clock.wall_ms(), self._in_force
        self._in_force = self._orders.look(self._fleet, now_ms)
        if self._in_force or before:
            for user_id in self._fleet.devices:
                self._keep(user_id, now_ms)

    def may_train(self, user_id: str) -> bool:
        """Whether the device, which is due, trains now."""
        if not self._in_force:
            self._ready_ms.pop(user_id, None)
            return True
        now_ms, steady_ms = self._clock.wall_ms(), self._clock.steady_ms()
        people = [(each.population, each.at_s(now_ms)) for each in self._in_force]
        delay_ms = 1000 * sum(who.delay_s(user_id, at_s) for who, at_s in people)
        if not all(who.available(user_id, at_s) for who, at_s in people):
            self._put_off(user_id, steady_ms + delay_ms, Attendances.PUT_OFF)
            return False
        if delay_ms and user_id not in self._ready_ms:
            self._put_off(user_id, steady_ms + delay_ms, Attendances.DELAYED)
        if steady_ms < self._ready_ms.get(user_id, steady_ms):
            return False
        self._ready_ms.pop(user_id, None)
        if not all(who.finishes(user_id, at_s) for who, at_s in people):
            self._put_off(user_id, steady_ms + max(delay_ms, AGAIN_MS), Attendances.UNFINISHED)
            return False
        return True

    def _put_off(self, user_id: str, until_ms: float, why: Attendances) -> None:
        if user_id not in self._ready_ms:
            self._fleet.count(why)
            self._ready_ms[user_id] = until_ms

    def _keep(self, user_id: str, now_ms: int) -> None:
        there = all(each.population.connected(user_id, each.at_s(now_ms)) for each in self._in_force)
        if there and user_id in self._away:
            self._away.discard(user_id)
            self._fleet.count(Attendances.CAME)
            self._link.open(user_id)
        elif not there and user_id not in self._away:
            self._away.add(user_id)
            self._fleet.count(Attendances.LEFT)
            self._link.unplug(user_id)
        off_s = sum(each.population.clock_off_s(user_id) for each in self._in_force)
        self._fleet.set_clock(user_id, round(1000 * off_s))
