"""Seeds that always run, seeds that nobody ran before, and that a seed is one history."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import structlog

from streams.simulation.campaign import command
from streams.simulation.journal import first_difference
from streams.simulation.plan import Limits, draw
from streams.simulation.run import simulate
from streams.simulation.users import Users

FIXED = range(1, 6)
FRESH = 4


@pytest.mark.parametrize("seed", FIXED)
def test_a_seed_holds_and_is_one_history(seed: int) -> None:
    outcome, again = simulate(draw(seed)), simulate(draw(seed), converge=False)
    assert outcome.violation is None, f"{outcome.violation}; again: {command(seed)}"
    assert first_difference(outcome.journal, again.journal) == ""


def test_a_seed_is_one_history_in_every_process() -> None:
    """Where Python orders sets of names anew in each process, nothing may follow that order."""
    command = [sys.executable, "-m", "streams", "simulate", "--seed", "4"]
    one, other = (
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True)
        for seed in ("0", "2")
    )
    assert "history" in one.stdout and one.stdout == other.stdout


def test_seeds_that_nobody_ran_before_hold() -> None:
    first = time.time_ns() // 3_600_000_000_000 * FRESH  # of this hour: what failed and is run again is the same
    failed = [outcome for n in range(FRESH) if (outcome := simulate(draw(first + n))).violation is not None]
    assert not failed, "; ".join(f"{each.violation}; again: {command(each.plan.seed)}" for each in failed)


def test_what_is_left_of_a_plan_is_as_it_was() -> None:
    whole, plan = draw(3), draw(3, Limits(devices=(0, 1), events=10, faults=(1,)))
    acts = [act for act in Users(whole).acts if act.event.user_id in ("user-0", "user-1")]
    assert (plan.faults, Users(plan).acts) == ((whole.faults[1],), acts[:10])
    assert simulate(plan, converge=False).violation is None


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What a run logs is for somebody who watches one."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(wrapper_class=before)
