"""What one axis of a population says of a device at a time: a constant, a law, or what was recorded.

Time is in seconds of the population's own days, which begin at midnight. Each device is on or off for some stretches of
a length of its own; in each a draw decides, by how likely the axis makes it just then. Nothing is remembered, so that
any moment may be asked about, in any order.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from streams.population.draws import normal, uniform
from streams.population.trace import Traces

DAY_S = 86_400.0
_HOURLY = 24.0  # how often a day it is drawn anew where nothing says how often
_SHORTEST_S = 1.0  # of a stretch


class Axis(Protocol):
    """One of the four."""

    def level(self, device: str, t_s: float) -> float:
        """From 0 to 1: how likely it is then, for this device."""

    def on(self, device: str, t_s: float) -> bool:
        """Whether it is so then."""


@dataclass(frozen=True, slots=True)
class LogNormal:
    """What differs from device to device: half of them are above `median`, two thirds within a factor of e^`sigma`."""

    median: float
    sigma: float = 0.0

    def of(self, seed: int, *whose: object) -> float:
        """The number of this device."""
        return self.median * math.exp(self.sigma * normal(seed, *whose)) if self.sigma else self.median


@dataclass(frozen=True, slots=True)
class Constant:
    """The same at all times and for everyone; who is on changes every hour."""

    name: str
    seed: int
    share: float

    def level(self, device: str, t_s: float) -> float:  # noqa: ARG002
        """The share."""
        return self.share

    def on(self, device: str, t_s: float) -> bool:
        """One of the share."""
        return self.share == 1 or _drawn(self, device, t_s, DAY_S / _HOURLY)


@dataclass(frozen=True, slots=True)
class Law:
    """Diurnal × log-normal: p = (`swing` · sin(2πt/T) + `base`) · q, highest at `peak_s` of the day T.

    q is each device's own. So is how often a day it comes (back), `times`: that makes its stretches long or short.
    """

    name: str
    seed: int
    q: LogNormal = LogNormal(1.0)
    times: LogNormal | None = None
    swing: float = 0.4
    base: float = 0.5
    peak_s: float = DAY_S / 4

    def level(self, device: str, t_s: float) -> float:
        """p, cut to what a likelihood may be."""
        return self.p(_own(self, device)[0], t_s)

    def on(self, device: str, t_s: float) -> bool:
        """Whether it is there."""
        return _drawn(self, device, t_s, _own(self, device)[1])

    def p(self, q: float, t_s: float) -> float:
        """Of a device whose q is this."""
        wave = self.swing * math.cos(2 * math.pi * (t_s - self.peak_s) / DAY_S) + self.base
        return min(1.0, max(0.0, wave * q))


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was recorded, from the beginning of the recording on."""

    traces: Traces

    def level(self, device: str, t_s: float) -> float:
        """1 or 0."""
        return float(self.on(device, t_s))

    def on(self, device: str, t_s: float) -> bool:
        """What the device's trace says."""
        return self.traces.of(device).on(t_s)


def _drawn(axis: Constant | Law, device: str, t_s: float, stretch_s: float) -> bool:
    """Stretches of different devices don't begin together; how likely it was when one began holds for all of it."""
    phase = uniform(axis.seed, axis.name, "phase", device)
    number = math.floor(t_s / stretch_s + phase)
    return uniform(axis.seed, axis.name, device, number) < axis.level(device, (number - phase) * stretch_s)


@lru_cache(1 << 16)
def _own(law: Law, device: str) -> tuple[float, float]:
    """A device's q, and how long its stretches are, s.

    A share p(1 - p) of stretches is on after one that is off: that is how often it comes (back).
    """
    q = law.q.of(law.seed, law.name, "q", device)
    if law.times is None:
        return q, DAY_S / _HOURLY
    hours = [law.p(q, DAY_S * hour / 24) for hour in range(24)]
    comes = sum(p * (1 - p) for p in hours) / 24
    return q, max(_SHORTEST_S, DAY_S * comes / law.times.of(law.seed, law.name, "times", device))
