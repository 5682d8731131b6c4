"""One simulation from its beginning to its verdict."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from streams.simulation.invariants import Invariant, Violation
from streams.simulation.journal import Journal
from streams.simulation.of_accounts import AccountsClose, BoundedMemory, EveryWaitEnds, TelemetryAddsUp, patience_ms
from streams.simulation.of_batches import (
    MonotonicVersions,
    NeverOlderThanDelay,
    NewestBatchWins,
    NoStaleTraining,
    VersionsNeverMix,
)
from streams.simulation.of_events import Convergence, NoDuplicateEffect, NoEventLost, NothingRare
from streams.simulation.of_heads import HeadsAsLearned
from streams.simulation.plan import Plan, undisturbed
from streams.simulation.sometimes import look
from streams.simulation.world import World

INVARIANTS: tuple[type[Invariant], ...] = (
    NoEventLost,
    NoDuplicateEffect,
    NothingRare,
    NewestBatchWins,
    NoStaleTraining,
    VersionsNeverMix,
    MonotonicVersions,
    NeverOlderThanDelay,
    BoundedMemory,
    TelemetryAddsUp,
    AccountsClose,
    HeadsAsLearned,
    Convergence,
)
LOOK_MS = 1_000  # between looks at the world
Look = Callable[[World], object]


def _unwatched(_world: World) -> None:
    """Nobody looks on."""


@dataclass
class Outcome:
    """What became of a simulation: the violation, if there is one, and what the run has hit."""

    plan: Plan
    violation: Violation | None = None
    sometimes: set[str] = field(default_factory=set)
    journal: Journal = field(default_factory=Journal)
    virtual_ms: int = 0


def simulate(plan: Plan, *, converge: bool = True, watch: Look = _unwatched) -> Outcome:
    """Run a plan; with `converge` its undisturbed twin, too, where the plan compares the two.

    `watch` is shown the world every virtual second.
    """
    with World(undisturbed(plan)) as other, World(plan) as world:
        outcome = Outcome(plan, sometimes=world.sometimes, journal=world.journal)
        try:
            if converge and plan.converges:
                _play(other, [], _unwatched)
                world.undisturbed = other
            invariants = [kind(world) for kind in INVARIANTS]
            world.jobs += [each.job for each in invariants]
            _play(world, invariants, watch)
            for each in invariants:
                each.end()
        except Violation as violation:
            outcome.violation = violation
        except Exception as error:  # a mistake of ours: what a user would see as a traceback
            outcome.violation = Violation("no-mistake", _line(error))
            outcome.violation.__cause__ = error
        look(world)
        outcome.virtual_ms = world.timeline.now_ms
        return outcome


def _play(world: World, invariants: list[Invariant], watch: Look) -> None:
    """The time in which things fail, healing, and the time in which all must come to rest."""
    plan, rest = world.plan, EveryWaitEnds(world)

    def go_on(until_ms: int) -> None:
        while world.timeline.now_ms < until_ms:
            world.run(min(world.timeline.now_ms + LOOK_MS, until_ms))
            for each in invariants:
                each.watch()
            watch(world)

    go_on(plan.safety_ms)
    world.faults.heal()
    limit_ms = plan.safety_ms + patience_ms(plan.freshness_ms, plan.expiry_ms)
    go_on(plan.safety_ms + 5_000)
    while waiting := rest.waiting():
        rest.hold(world.timeline.now_ms < limit_ms, "; ".join(waiting))
        go_on(world.timeline.now_ms + LOOK_MS)


def _line(error: Any) -> str:
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
    return f"{type(error).__name__}: {' '.join(str(error).split())} ({place})"
