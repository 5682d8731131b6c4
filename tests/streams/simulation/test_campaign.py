"""What is said of many seeds, which campaigns have failed, and how little of a seed suffices to fail."""

import pytest

from streams.simulation import campaign
from streams.simulation.campaign import COMPLETE, Campaign, command, shrink
from streams.simulation.invariants import Violation
from streams.simulation.plan import Limits, Plan, draw
from streams.simulation.run import Outcome
from streams.simulation.sometimes import NAMES


def of(seeds: int, hit: list[str]) -> Campaign:
    found = Campaign(seconds=1.0)
    for seed in range(1, seeds + 1):
        found.add(Outcome(draw(seed), sometimes=set(hit)))
    return found


def test_a_small_campaign_that_misses_some_says_so_and_has_not_failed() -> None:
    found = of(3, NAMES[:4])
    assert (
        not found.failed
        and found.lines()[-1] == f"not hit: {len(NAMES) - 4}, which is no failure with fewer than 1,000 seeds"
    )


def test_one_of_many_seeds_that_misses_something_has_failed_and_names_it() -> None:
    found = of(COMPLETE, NAMES[1:])
    assert found.failed and NAMES[0] in found.lines()[-1]
    assert not of(COMPLETE, NAMES).failed


def test_a_violation_fails_any_campaign() -> None:
    found = of(1, NAMES)
    found.add(Outcome(draw(9), violation=Violation("no-event-lost", "one is")))
    assert found.failed and "2 seeds, 1 failed" in found.lines()[0]


def test_a_seed_that_fails_is_shrunk_to_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw(3)
    needed = {whole.faults[2], whole.faults[-1]}

    def simulate(plan: Plan) -> Outcome:
        devices, events = plan.limits.devices or (), plan.limits.events or 99
        fails = needed <= set(plan.faults) and (plan == whole or (1 in devices and events >= 7))
        other = Violation("no-mistake", "another one") if len(plan.faults) % 2 else None
        return Outcome(plan, Violation("no-event-lost", "one is") if fails else other)

    monkeypatch.setattr(campaign, "simulate", simulate)
    told = list[Limits]()
    found = shrink(3, told=told.append)
    assert found == told[-1] == Limits(devices=(1,), events=7, faults=(2, len(whole.faults) - 1))
    assert command(3, found) == f"coda simulate --seed 3 --devices 1 --events 7 --faults 2,{len(whole.faults) - 1}"
    assert command(3, Limits(faults=())) == "coda simulate --seed 3 --faults none"
