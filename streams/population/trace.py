"""Recorded devices: when each one was there, second by second of the recording."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from streams.population.draws import uniform


@dataclass(frozen=True, slots=True)
class Trace:
    """On or off at 0, and the other way round from each of `switches_s` on, which ascend.

    After `period_s` it begins again; without one it stays as it was last.

    >>> trace = Trace(False, (10.0, 30.0), period_s=100.0)
    >>> [trace.on(t_s) for t_s in (5, 10, 29, 30, 115)]
    [False, True, True, False, True]
    """

    begins_on: bool
    switches_s: tuple[float, ...]
    period_s: float | None = None

    def on(self, t_s: float) -> bool:
        """Whether it is on at `t_s`."""
        if self.period_s is not None:
            t_s %= self.period_s
        return self.begins_on ^ bool(bisect_right(self.switches_s, t_s) & 1)


def of_intervals(intervals: Sequence[tuple[float, float]], period_s: float) -> Trace:
    """A trace that is on in these intervals, ends excluded; they ascend, and may touch.

    >>> of_intervals([(0, 5), (5, 7), (9, 10)], 10)
    Trace(begins_on=True, switches_s=(7, 9), period_s=10)
    """
    switches: list[float] = []
    for start, end in intervals:
        if switches and switches[-1] == start:
            switches[-1] = end
        elif start < end:
            switches += [start, end]
    begins_on = bool(switches) and switches[0] == 0
    within = [switch for switch in switches[begins_on:] if switch < period_s]
    return Trace(begins_on, tuple(within), period_s)


def ascending(times_s: Iterable[float]) -> tuple[float, ...]:
    """These times, if they are some: finite, none before the recording, in order; raises `ValueError`."""
    checked: list[float] = []
    for time_s in times_s:
        if not math.isfinite(time_s) or time_s < 0:
            raise ValueError(f"{time_s} is no time since the beginning of the recording")
        if checked and time_s < checked[-1]:
            raise ValueError(f"{time_s:g} comes after {checked[-1]:g}")
        checked.append(time_s)
    return tuple(checked)


class Traces:
    """Traces by the device that was recorded. Whoever is not among them follows one that is drawn for them."""

    def __init__(self, traces: Mapping[str, Trace], seed: int) -> None:
        self._traces, self._names, self._seed = traces, sorted(traces), seed

    def of(self, device: str) -> Trace:
        """The trace that this device follows."""
        if (recorded := self._traces.get(device)) is not None:
            return recorded
        return self._traces[self._names[int(uniform(self._seed, "trace", device) * len(self._names))]]
