"""Who is there in a simulation: devices that follow people of populations for a while, and their clocks with them."""

import random
from collections.abc import Sequence

from device_sim.fleet import Fleet
from streams.fleet.orders import InForce
from streams.population.axis import Constant, Law, LogNormal
from streams.population.population import Population
from streams.simulation.plan import HOUR_MS, MINUTE_MS
from streams.simulation.timeline import START_MS, Timeline

CLOCKS_MS = (0, 0, 90_000, 2 * HOUR_MS)


class People:
    """The orders of a simulated fleet: all populations that are in force just now."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._in_force: list[InForce] = []

    def look(self, fleet: Fleet, now_ms: int) -> Sequence[InForce]:  # noqa: ARG002
        """All of them."""
        return self._in_force.copy()

    def come(self, number: int) -> InForce:
        """One more is in force from now on, whose people are drawn from this number; a day of theirs takes a minute."""
        dice = random.Random(f"{number}/people")
        population = Population(
            seed=number,
            availability=Law("available", number, q=LogNormal(1.5, 0.5), times=LogNormal(10, 0.5)),
            connectivity=Constant("connected", number, dice.choice((0.5, 0.9, 1.0))),
            completeness=Constant("finishes", number, dice.choice((0.5, 1.0))),
            responsiveness=Constant("soon", number, dice.choice((0.5, 1.0))),
            slowest_s=10,
            clock_s=dice.choice(CLOCKS_MS) / 1000,
            day_s=MINUTE_MS / 1000,
        )
        self._in_force.append(InForce(population, START_MS + self._timeline.now_ms))
        return self._in_force[-1]

    def go(self, who: InForce) -> None:
        """This one is in force no more."""
        self._in_force.remove(who)
