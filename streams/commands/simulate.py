"""`coda simulate`: the whole system in one process, by a virtual clock, with everything drawn from a seed."""

import logging
import sys
import time

import structlog
import torch
from rich.console import Console

from streams.simulation.campaign import Campaign, campaign
from streams.simulation.campaign import command as reproduced
from streams.simulation.campaign import shrink as shrunk
from streams.simulation.campaign import twice as run_twice
from streams.simulation.plan import EVERYTHING, Limits, Plan, draw
from streams.simulation.run import Outcome, simulate
from streams.simulation.watch import watching
from wire.errors import InputError


def command(
    *,
    seed: int = 1,
    seeds: int = 1,
    shrink: bool = False,
    twice: bool = False,
    watch: bool = False,
    pace: float = 5,
    devices: str | None = None,
    events: int | None = None,
    faults: str | None = None,
    verbose: bool = False,
) -> int:
    """Simulate the whole system: dataflow, pools, tunnel, trainer and devices, with all that can go wrong.

    One process and a virtual clock; network, disk, brokers and clocks are simulated, all else is the product's code.
    The same seed on the same commit is the same history. Exit code 1 when an invariant does not hold, or when 1,000
    seeds or more never hit something that they should.

    Example

    ```
    coda simulate --seed 7
    coda simulate --seeds 1000
    coda simulate --seed 7 --shrink
    coda simulate --seed 7 --watch
    ```

    Args:
        seed: What everything is drawn from; with --seeds the first of them.
        seeds: How many seeds to run, one after the other.
        shrink: Of a seed that fails, find the fewest devices, events and faults with which it still does.
        twice: Run the seed twice and say where the two runs part.
        watch: Draw it in the terminal: processes, devices, their links, queues and clocks, what fails.
        pace: With --watch, virtual seconds shown per second; 0 shows the next one when Enter is pressed.
        devices: Leave out all but these of the seed's devices, by number: 0,3,4, or none.
        events: Leave out all but the first so many events of these devices.
        faults: Leave out all but these of its faults, by number: 0,3,4, or none.
        verbose: Show what happened: faults, and what became of processes.
    """
    torch.set_num_threads(1)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.ERROR)
    limits = _limits(seed, devices, events, faults)
    if twice:
        return _say_twice(seed, limits)
    if pace < 0:
        raise InputError(f"--pace is {pace}: give virtual seconds per second, or 0 to go on by Enter")
    if seeds > 1:
        if watch:
            raise InputError("--watch shows one seed: leave --seeds out")
        return _say_campaign(seed, seeds, shrink=shrink)
    outcome = _watched(draw(seed, limits), pace) if watch else simulate(draw(seed, limits))
    _say(outcome, verbose=verbose)
    if outcome.violation is None:
        return 0
    _say_failure(outcome, shrink=shrink, limits=limits)
    return 1


def _limits(seed: int, devices: str | None, events: int | None, faults: str | None) -> Limits:
    plan = draw(seed)
    if events is not None and events < 1:
        raise InputError(f"--events is {events}: give at least 1")
    return Limits(
        _numbers("devices", devices, seed, plan.devices), events, _numbers("faults", faults, seed, len(plan.faults))
    )


def _numbers(what: str, text: str | None, seed: int, there: int) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        numbers = tuple(int(each) for each in text.split(",") if text != "none")
    except ValueError:
        raise InputError(f"--{what} {text} are no numbers: give them as 0,3,4, or none") from None
    if any(not 0 <= number < there for number in numbers):
        raise InputError(f"--{what} {text}: those of seed {seed} have the numbers 0 to {there - 1}")
    return numbers


def _watched(plan: Plan, pace: float) -> Outcome:
    with watching(pace=pace, console=Console(), sleep=time.sleep, ask=input) as watch:
        return simulate(plan, converge=False, watch=watch)


def _say(outcome: Outcome, *, verbose: bool) -> None:
    plan = outcome.plan
    print(
        f"seed {plan.seed}: {plan.devices} devices, {plan.events} events, {plan.shards} shards in {plan.processes} "
        f"processes, {len(plan.faults)} faults, {outcome.virtual_ms / 1000:.0f} s of virtual time, "
        f"history {outcome.journal.digest}"
    )
    if verbose:
        for entry in outcome.journal.entries:
            if entry.who in ("fault", "disk") or "ended" in entry.what or "killed" in entry.what:
                print(entry)
    for name in sorted(outcome.sometimes):
        print(f"  {name}")


def _say_failure(outcome: Outcome, *, shrink: bool, limits: Limits = EVERYTHING) -> None:
    seed = outcome.plan.seed
    print(f"FAILED {outcome.violation}")
    if shrink:
        limits = shrunk(seed, limits, lambda fewer: print(f"  {reproduced(seed, fewer)}", file=sys.stderr))
    print(f"again: {reproduced(seed, limits)}")


def _say_twice(seed: int, limits: Limits) -> int:
    difference = run_twice(draw(seed, limits))
    print(difference or f"seed {seed}: both runs are the same")
    return 1 if difference else 0


def _say_campaign(first: int, number: int, *, shrink: bool) -> int:
    def told(found: Campaign, outcome: Outcome) -> None:
        if outcome.violation is not None:
            _say_failure(outcome, shrink=shrink)
        if found.seeds % 50 == 0:
            print(f"{found.seeds} seeds, {len(found.failures)} failed", file=sys.stderr)

    found = campaign(range(first, first + number), told)
    for line in found.lines():
        print(line)
    return 1 if found.failed else 0
