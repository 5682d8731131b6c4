"""What the users of a simulation do, drawn from its seed before it begins: the same with faults and without."""

import random
from typing import Literal, NamedTuple

from streams.simulation.plan import Plan
from streams.simulation.timeline import START_MS
from wire.event import Event

ITEMS, CATEGORIES = [f"item-{n}" for n in range(30)], [f"kind-{n}" for n in range(4)]


class Act(NamedTuple):
    """A user does something at `at_ms` of the simulation; the event says when by the clock of the user's device."""

    at_ms: int
    event: Event


class Users:
    """All that they do, in order; `acts` is what the plan's limits leave of it."""

    def __init__(self, plan: Plan) -> None:
        dice, service = random.Random(f"{plan.seed}/users"), random.Random(f"{plan.seed}/service")
        self.names = [f"user-{n}" for n in range(plan.devices)]
        self.skews_ms = dict(zip(self.names, plan.skews_ms, strict=True))
        moments = sorted(dice.randint(1_000, plan.safety_ms) for _ in range(plan.events))
        self.acts: list[Act] = []
        newest = dict.fromkeys(self.names, 0)
        for number, at_ms in enumerate(moments):
            user = dice.choice(self.names)
            timestamp = max(START_MS + at_ms + self.skews_ms[user], newest[user] + 1)  # no two of one user at once
            newest[user] = timestamp
            item = dice.randrange(len(ITEMS))
            label: Literal[0, 1] = 1 if dice.random() < plan.positives else 0
            names = f"event-{number}", user, ITEMS[item], CATEGORIES[item % len(CATEGORIES)]
            base = service.gauss(0, 1) if service.random() < plan.positives else None  # of some events it knows one
            self.acts.append(Act(at_ms, Event(*names, "click", label, timestamp, base=base)))
        kept = plan.limits.devices
        alive = set(self.names if kept is None else (self.names[number] for number in kept))
        self.acts = [act for act in self.acts if act.event.user_id in alive][: plan.limits.events]
