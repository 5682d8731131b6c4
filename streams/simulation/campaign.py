"""Many simulations, one per seed: which failed, what they hit, and how few things suffice to fail."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from streams.simulation.journal import first_difference
from streams.simulation.plan import EVERYTHING, Limits, Plan, draw
from streams.simulation.run import Outcome, simulate
from streams.simulation.sometimes import NAMES

COMPLETE = 1000  # seeds: the rarest of the sometimes is hit by a few in so many


@dataclass
class Campaign:
    """What came of many seeds; `hits` says how often each of the sometimes was hit, `first` by which seed."""

    seeds: int = 0
    seconds: float = 0.0
    virtual_ms: int = 0
    failures: list[Outcome] = field(default_factory=list)
    hits: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """One more seed has ended."""
        self.seeds += 1
        self.virtual_ms += outcome.virtual_ms
        if outcome.violation is not None:
            self.failures.append(outcome)
        for name in sorted(outcome.sometimes):
            self.hits[name] += 1
            self.first.setdefault(name, outcome.plan.seed)

    @property
    def never(self) -> list[str]:
        """What no seed hit."""
        return [name for name in NAMES if not self.hits[name]]

    @property
    def failed(self) -> bool:
        """Whether an invariant did not hold, or so many seeds should have hit what none did."""
        return bool(self.failures or (self.never and self.seeds >= COMPLETE))

    def lines(self) -> list[str]:
        """The summary, and the table of what was hit."""
        pace = 60 * self.seeds / max(self.seconds, 1e-9)
        title = (
            f"{self.seeds:,} seeds, {len(self.failures):,} failed; {self.virtual_ms / 3_600_000:,.1f} hours of virtual "
            f"time in {self.seconds:,.0f} s, {pace:,.0f} seeds a minute"
        )
        table = [f"{self.hits[name]:>7,}  {self.first.get(name, '-'):>7}  {name}" for name in NAMES]
        return [title, "", f"{'hits':>7}  {'first':>7}  sometimes", *table, *self._missed()]

    def _missed(self) -> list[str]:
        if not self.never:
            return []
        if self.seeds >= COMPLETE:
            return ["", f"FAILED to hit, which {COMPLETE:,} seeds should: {'; '.join(self.never)}"]
        return ["", f"not hit: {len(self.never)}, which is no failure with fewer than {COMPLETE:,} seeds"]


def campaign(seeds: Iterable[int], told: Callable[[Campaign, Outcome], None] = lambda _c, _o: None) -> Campaign:
    """Run all seeds; `told` hears of each."""
    found, began_s = Campaign(), time.perf_counter()
    for seed in seeds:
        outcome = simulate(draw(seed))
        found.add(outcome)
        found.seconds = time.perf_counter() - began_s
        told(found, outcome)
    return found


def twice(plan: Plan) -> str:
    """Run a plan twice; where the two runs part, "" where they don't."""
    return first_difference(simulate(plan, converge=False).journal, simulate(plan, converge=False).journal)


def shrink(seed: int, limits: Limits = EVERYTHING, told: Callable[[Limits], None] = lambda _: None) -> Limits:
    """What is left of `limits` when all is taken out without which the seed still fails in the same way."""
    plan, first = draw(seed), simulate(draw(seed, limits)).violation
    assert first is not None, "it fails"

    def fails(limits: Limits, part: str, smaller: Any) -> bool:
        limits = replace(limits, **{part: smaller})
        violation = simulate(draw(seed, limits)).violation
        if violation is None or violation.name != first.name:
            return False
        told(limits)
        return True

    whole = Limits(tuple(range(plan.devices)), plan.events, tuple(range(len(plan.faults))))
    limits, before = limits.within(whole), None
    while limits != before:
        before = limits
        for part, fewer in (("faults", _fewest), ("devices", _fewest), ("events", _least)):
            least: dict[str, Any] = {part: fewer(getattr(limits, part), partial(fails, limits, part))}
            limits = replace(limits, **least)
    return limits


def _fewest(numbers: tuple[int, ...], fails: Callable[[tuple[int, ...]], bool]) -> tuple[int, ...]:
    """Take out halves first, then less and less, and in the end one by one.

    >>> _fewest(tuple(range(20)), lambda some: {3, 17} <= set(some))
    (3, 17)
    """
    size = len(numbers)
    while size:
        at = 0
        while at < len(numbers):
            fewer = numbers[:at] + numbers[at + size :]
            if fails(fewer):
                numbers = fewer
            else:
                at += size
        size //= 2
    return numbers


def _least(number: int, fails: Callable[[int], bool]) -> int:
    """A smaller number, at least 1, by steps that get smaller.

    >>> _least(80, lambda n: n >= 7)
    7
    """
    step = number // 2
    while step:
        if number > step and fails(number - step):
            number -= step
        else:
            step //= 2
    return number


def command(seed: int, limits: Limits = EVERYTHING) -> str:
    """What reproduces a run."""
    given = {name: value for name, value in asdict(limits).items() if value is not None}
    return " ".join(["coda simulate", f"--seed {seed}", *(f"--{name} {_told(value)}" for name, value in given.items())])


def _told(value: int | tuple[int, ...]) -> str:
    return str(value) if isinstance(value, int) else ",".join(map(str, value)) or "none"
