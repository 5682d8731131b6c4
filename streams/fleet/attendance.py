"""Who of a fleet is there, has a link, and may train just now: what populations say, done to links and trainings.

Without any population in force everyone is always there.
"""

from collections.abc import Sequence

from device_sim.fleet import Fleet
from device_sim.link import Link
from device_sim.outcome import Attendances
from streams.fleet.orders import InForce, Orders
from wire.clock import Clock

LOOK_MS = 500  # between looks at who is there: 15 µs a device, 3 % of a core for a thousand
AGAIN_MS = 1_000  # until what was not finished is begun anew


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
