"""`coda simulate`: the whole system in one process, by a virtual clock, with everything drawn from a seed."""

import logging
import sys

import structlog
import torch

from streams.simulation.campaign import Campaign, campaign
from streams.simulation.campaign import command as reproduced
from streams.simulation.campaign import shrink as shrunk
from streams.simulation.campaign import twice as run_twice
from streams.simulation.plan import Limits, draw
from streams.simulation.run import Outcome, simulate
from wire.errors import InputError


def command(
    *,
    seed: int = 1,
    seeds: int = 1,
    shrink: bool = False,
    twice: bool = False,
    devices: int | None = None,
    events: int | None = None,
    faults: str | None = None,
    verbose: bool = False,
) -> int:
    """Simulate the whole system: dataflow, pools, tunnel, trainer and devices, with all that can go wrong.

    One process and a virtual clock; network, disk, brokers and clocks are simulated, all else is the product's code.
    The same seed on the same commit is the same history. Exit code 1 when an invariant does not hold.

    ```
    coda simulate --seed 7
    coda simulate --seeds 1000
    coda simulate --seed 7 --shrink
    ```

    Args:
        seed: What everything is drawn from; with --seeds the first of them.
        seeds: How many seeds to run, one after the other.
        shrink: Of a seed that fails, find the fewest devices, events and faults with which it still does.
        twice: Run the seed twice and say where the two runs part.
        devices: Cut the seed's plan down to so many devices.
        events: Cut it down to so many events.
        faults: Cut it down to these of its faults, by number: 0,3,4, or none.
        verbose: Show what happened: faults, and what became of processes.
    """
    torch.set_num_threads(1)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.ERROR)
    limits = _limits(seed, devices, events, faults)
    if twice:
        return _say_twice(seed, limits)
    if seeds > 1:
        return _say_campaign(seed, seeds, shrink=shrink)
    outcome = simulate(draw(seed, limits))
    _say(outcome, verbose=verbose)
    if outcome.violation is None:
        return 0
    _say_failure(outcome, shrink=shrink, limits=limits)
    return 1


def _limits(seed: int, devices: int | None, events: int | None, faults: str | None) -> Limits | None:
    if devices is None and events is None and faults is None:
        return None
    plan = draw(seed)
    if devices is not None and not 1 <= devices <= plan.devices:
        raise InputError(f"--devices {devices}: seed {seed} has {plan.devices}")
    if events is not None and events < 1:
        raise InputError(f"--events is {events}: give at least 1")
    try:
        numbers = None if faults is None else tuple(int(each) for each in faults.split(",") if faults != "none")
    except ValueError:
        raise InputError(f"--faults {faults} are no numbers: give them as 0,3,4, or none") from None
    if any(not 0 <= number < len(plan.faults) for number in numbers or ()):
        raise InputError(f"--faults {faults}: those of seed {seed} have numbers up to {len(plan.faults) - 1}")
    return Limits(devices, events, numbers)


def _say(outcome: Outcome, *, verbose: bool) -> None:
    plan = outcome.plan
    print(  # noqa: T201
        f"seed {plan.seed}: {plan.devices} devices, {plan.events} events, {plan.shards} shards in {plan.processes} "
        f"processes, {len(plan.faults)} faults, {outcome.virtual_ms / 1000:.0f} s of virtual time, "
        f"history {outcome.journal.digest}"
    )
    if verbose:
        for entry in outcome.journal.entries:
            if entry.who in ("fault", "disk") or "ended" in entry.what or "killed" in entry.what:
                print(entry)  # noqa: T201
    for name in sorted(outcome.sometimes):
        print(f"  {name}")  # noqa: T201


def _say_failure(outcome: Outcome, *, shrink: bool, limits: Limits | None = None) -> None:
    print(f"FAILED {outcome.violation}")  # noqa: T201
    if shrink:
        limits = shrunk(outcome.plan.seed, lambda smaller: print(f"  still with {smaller}", file=sys.stderr))  # noqa: T201
    print(f"again: {reproduced(outcome.plan.seed, limits)}")  # noqa: T201


def _say_twice(seed: int, limits: Limits | None) -> int:
    difference = run_twice(draw(seed, limits))
    print(difference or f"seed {seed}: both runs are the same")  # noqa: T201
    return 1 if difference else 0


def _say_campaign(first: int, number: int, *, shrink: bool) -> int:
    def told(found: Campaign, outcome: Outcome) -> None:
        if outcome.violation is not None:
            _say_failure(outcome, shrink=shrink)
        if found.seeds % 50 == 0:
            print(f"{found.seeds} seeds, {len(found.failures)} failed", file=sys.stderr)  # noqa: T201

    found = campaign(range(first, first + number), told)
    for line in found.lines():
        print(line)  # noqa: T201
    if found.never:
        print(f"never hit: {'; '.join(found.never)}")  # noqa: T201
    return 1 if found.failures or found.never else 0
