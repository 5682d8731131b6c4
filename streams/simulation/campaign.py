"""Many simulations, one per seed: which failed, what they hit, and how few things suffice to fail."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from streams.simulation.journal import first_difference
from streams.simulation.plan import Limits, Plan, draw
from streams.simulation.run import Outcome, simulate
from streams.simulation.sometimes import NAMES


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

    def lines(self) -> list[str]:
        """The summary, and the table of what was hit."""
        pace = 60 * self.seeds / max(self.seconds, 1e-9)
        title = (
            f"{self.seeds:,} seeds, {len(self.failures):,} failed; {self.virtual_ms / 3_600_000:,.1f} hours of virtual "
            f"time in {self.seconds:,.0f} s, {pace:,.0f} seeds a minute"
        )
        table = [f"{self.hits[name]:>7,}  {self.first.get(name, '-'):>7}  {name}" for name in NAMES]
        return [title, "", f"{'hits':>7}  {'first':>7}  sometimes", *table]


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


def shrink(seed: int, told: Callable[[Limits], None] = lambda _: None) -> Limits:
    """The smallest limits found under which the seed still fails in the same way."""
    whole, limits = draw(seed), Limits()
    first = simulate(whole).violation
    assert first is not None, "it fails"
    limits = Limits(whole.devices, whole.events, tuple(range(len(whole.faults))))
    smaller = True
    while smaller:
        smaller = False
        for smaller_limits in _smaller(limits):
            violation = simulate(draw(seed, smaller_limits)).violation
            if violation is not None and violation.name == first.name:
                limits, smaller = smaller_limits, True
                told(limits)
                break
    return limits


def _smaller(limits: Limits) -> Iterator[Limits]:
    """Halves first, then one by one."""
    faults, devices, events = limits.faults or (), limits.devices or 2, limits.events or 1
    size = len(faults)
    while size:
        for at in range(0, len(faults), size):
            yield Limits(devices, events, faults[:at] + faults[at + size :])
        size //= 2
    for fewer in {events // 2, events - 1, events - 5} - {0}:
        if 0 < fewer < events:
            yield Limits(devices, fewer, faults)
    if devices > 2:
        yield Limits(devices - 1, events, faults)


def command(seed: int, limits: Limits | None = None) -> str:
    """What reproduces a run."""
    flags = [f"--seed {seed}"]
    if limits is not None:
        flags += [f"--devices {limits.devices}", f"--events {limits.events}"]
        flags += ["--faults " + (",".join(map(str, limits.faults or ())) or "none")]
    return "coda simulate " + " ".join(flags)
