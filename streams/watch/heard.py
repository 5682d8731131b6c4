"""What one process has said: its newest statuses, and what its former lives counted."""

import math
from collections import deque
from itertools import accumulate
from typing import NamedTuple

from msgspec.structs import replace

from monitor.histogram import NO_HISTOGRAM, Histogram
from monitor.words import SILENT_MS, WINDOW, Look
from wire.status import Frontier, Status

CPU = "process_cpu_seconds_total"  # by the name that Prometheus' own client gives it
GROWING = ("_total", "_bucket")
Values = dict[str, dict[str, float]]


class _Life(NamedTuple):
    """A life that is over, as it seems: when it began, its last status, and what was counted without it."""

    boot: int
    sequence: int
    lived: Values
    ages: dict[str, Histogram]


class Heard:
    """One process under one key, over its restarts; `heard_ms` is wall clock of one machine for all processes."""

    def __init__(self) -> None:
        self._window: deque[tuple[int, Status]] = deque(maxlen=WINDOW)
        self._lived: Values = {}
        self._lived_ages: dict[str, Histogram] = {}
        self._before: _Life | None = None
        self._rival_ms = -SILENT_MS
        self._former: deque[int] = deque(maxlen=WINDOW)  # when the newest of the lives before began
        self._reached: dict[tuple[str, int], Frontier] = {}  # by the life before
        self._since_ms = 0

    def take(self, status: Status, heard_ms: int) -> bool:
        """Take in what it says; False for what came late or twice, or of a life that is over."""
        goes_on = bool(self._window) and status.boot == self.newest.boot
        if goes_on:
            if status.sequence <= self.newest.sequence:
                return False
            if status.said_ms < self.newest.said_ms:
                self._window.clear()  # its clock was set back: what it said before was by another one
        elif self._window:
            if not self._follows(status, heard_ms):
                if not status.ended and heard_ms - self._window[0][0] >= SILENT_MS:
                    self._rival_ms = heard_ms  # that life should be over by now
                return False
            self._turn_to(status.boot)
        since_ms = status.boot + heard_ms - status.said_ms
        self._since_ms = min(self._since_ms, since_ms) if goes_on else since_ms
        self._window.append((heard_ms, status))
        return True

    def _follows(self, status: Status, heard_ms: int) -> bool:
        """Whether another life than the last one heard of speaks from now on.

        The one before does where the last has ended and it goes on: its name was taken. One not heard of before that
        seems to have begun earlier does where the last is over: its clock was set back.
        """
        if self._before and status.boot == self._before.boot:
            return self.newest.ended and not status.ended and status.sequence > self._before.sequence
        if status.boot in self._former:
            return False
        is_over = self.newest.ended or heard_ms - self._window[-1][0] >= SILENT_MS
        return status.boot > self.newest.boot or (is_over and not status.ended)

    def _turn_to(self, boot: int) -> None:
        """What the life that spoke last has done stays done; what the next one has done, it says itself."""
        newest, lived, ages = self.newest, self._lived, self._lived_ages
        if self._before and self._before.boot == boot:
            self._lived, self._lived_ages = self._before.lived, self._before.ages
        self._before = _Life(newest.boot, newest.sequence, lived, ages)
        self._former.append(newest.boot)
        self._lived_ages = self.all_aged()
        self._lived = added(self._lived, counts(newest.values))
        self._reached = {(f.stage, f.partition): f for f in self.frontiers()}
        self._rival_ms = -SILENT_MS
        self._window.clear()

    @property
    def newest(self) -> Status:
        """What it said last."""
        return self._window[-1][1]

    def silent_ms(self, now_ms: int) -> int:
        """How long it has said nothing; 0 while its next word is only just due."""
        silent_ms = now_ms - self._window[-1][0]
        return silent_ms if silent_ms >= SILENT_MS else 0

    def has_rival(self, now_ms: int) -> bool:
        """Whether another process says just now that it is this one."""
        return now_ms - self._rival_ms < SILENT_MS

    def up(self, now_ms: int) -> bool:
        """Whether it is there."""
        return not self.newest.ended and not self.silent_ms(now_ms)

    def totals(self) -> Values:
        """What it counted in all its lives."""
        return added(self._lived, counts(self.newest.values))

    def gauges(self) -> Values:
        """What is so now."""
        return {name: values for name, values in self.newest.values.items() if not name.endswith(GROWING)}

    def series(self, name: str, labels: str) -> list[tuple[int, float]]:
        """What one series of a gauge was at which moment, over the window; zeros are not said, and are zeros."""
        return [(status.said_ms, status.values.get(name, {}).get(labels, 0.0)) for _, status in self._window]

    def per_s(self) -> dict[str, float]:
        """Growth of each count per second within the window: of one life, so never negative."""
        (_, first), (_, last) = self._window[0], self._window[-1]
        elapsed_s = (last.said_ms - first.said_ms) / 1000
        if elapsed_s <= 0:
            return {}
        before, now = counts(first.values), counts(last.values)
        sums = {name: sum(values.values()) - sum(before.get(name, {}).values()) for name, values in now.items()}
        return {name: max(0.0, grown / elapsed_s) for name, grown in sums.items()}

    def aged(self) -> dict[str, tuple[int, ...]]:
        """By stage, how many things passed at which age within the window."""
        first, last = self._window[0][1].ages, self.newest.ages
        nothing = (0,) * (len(self.newest.age_bounds_s) + 1)
        return {
            stage: tuple(max(0, now - then) for now, then in zip(ages, first.get(stage, nothing), strict=True))
            for stage, ages in last.items()
            if len(first.get(stage, nothing)) == len(ages)
        }

    def all_aged(self) -> dict[str, Histogram]:
        """By stage, the ages of all that passed in all its lives."""
        bounds = (*self.newest.age_bounds_s, math.inf)
        passed = dict(self._lived_ages)
        for stage, ages in self.newest.ages.items():
            now, before = Histogram(bounds, tuple(accumulate(ages))), passed.get(stage, NO_HISTOGRAM)
            passed[stage] = before.combine(now, 1) if before.bounds in {bounds, ()} else now  # of another version
        return passed

    def frontiers(self) -> tuple[Frontier, ...]:
        """How far its stages are, as it said last; moments by the clock of whoever heard it."""
        return tuple(replace(frontier, until_ms=self._until_ms(frontier)) for frontier in self.newest.frontiers)

    def _until_ms(self, frontier: Frontier) -> int:
        """What it says, and what it said before it was started anew, if it goes on from there."""
        own_ms = max(1, frontier.until_ms + self._ahead_ms) if frontier.until_ms else 0
        before = self._reached.get((frontier.stage, frontier.partition))
        return max(own_ms, before.until_ms) if before and frontier.position >= before.position else own_ms

    @property
    def since_ms(self) -> int:
        """When it began, by the clock of whoever heard it."""
        return self._since_ms

    @property
    def _ahead_ms(self) -> int:
        """How far the clock of whoever heard it is ahead of its own, which may be set wrong.

        Some of what it says is under way for seconds, as when Kafka was away: the least difference tells most.
        """
        return min(heard_ms - status.said_ms for heard_ms, status in self._window)

    def looks(self) -> dict[tuple[str, int], list[Look]]:
        """How far each stage was in each partition, over the window."""
        found: dict[tuple[str, int], list[Look]] = {}
        for _, status in self._window:
            for f in status.frontiers:
                look = Look(status.said_ms, f.position, f.end, f.until_ms)
                found.setdefault((f.stage, f.partition), []).append(look)
        return found


def counts(values: Values) -> Values:
    """What only grows."""
    return {name: by_label for name, by_label in values.items() if name.endswith(GROWING)}


def added(one: Values, other: Values) -> Values:
    """Both together, series by series.

    >>> added({"a": {"x": 1}}, {"a": {"x": 2, "y": 3}})
    {'a': {'x': 3, 'y': 3}}
    """
    together = {name: dict(values) for name, values in one.items()}
    for name, values in other.items():
        into = together.setdefault(name, {})
        for label, value in values.items():
            into[label] = into.get(label, 0) + value
    return together
