"""Chance: one source per subsystem, all of one seed, each draw noted down.

A source of its own for everything keeps a change in one part of the product from moving all the faults of the others.
"""

import random
from collections.abc import Sequence
from typing import TypeVar

from streams.simulation.journal import Journal
from streams.simulation.timeline import Timeline

T = TypeVar("T")


class Die:
    """The draws of one subsystem."""

    def __init__(self, seed: int, name: str, timeline: Timeline, journal: Journal) -> None:
        self._random = random.Random(f"{seed}/{name}")
        self._name, self._timeline, self._journal = name, timeline, journal

    def chance(self, share: float) -> bool:
        """True in this share of cases; what is impossible is not drawn."""
        return share > 0 and self._noted("chance", self._random.random() < share)

    def between(self, least: int, most: int) -> int:
        """A whole number, evenly."""
        return self._noted("between", self._random.randint(least, most))

    def about(self, mean: float) -> int:
        """A waiting time with this mean, at least 1."""
        return self._noted("about", 1 + round(self._random.expovariate(1 / mean)) if mean > 0 else 1)

    def share(self) -> float:
        """A number from 0 to 1, evenly."""
        return self._noted("share", round(self._random.random(), 6))

    def pick(self, of: Sequence[T]) -> T:
        """One of these."""
        return of[self._noted("pick", self._random.randrange(len(of)))]

    def some(self, of: Sequence[T], share: float) -> list[T]:
        """Each of these with this chance."""
        return [each for each in of if self.chance(share)]

    def raw(self, size: int) -> bytes:
        """Bytes that mean nothing."""
        return self._random.randbytes(size)

    def _noted(self, what: str, drawn: T) -> T:
        self._journal.note(self._timeline.now_ms, self._name, f"{what} {drawn}")
        return drawn


class Dice:
    """All sources of one seed."""

    def __init__(self, seed: int, timeline: Timeline, journal: Journal) -> None:
        self._seed, self._timeline, self._journal = seed, timeline, journal

    def die(self, name: str) -> Die:
        """The source of one subsystem, from its beginning."""
        return Die(self._seed, name, self._timeline, self._journal)
