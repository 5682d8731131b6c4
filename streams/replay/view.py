"""How a replay shows itself: a progress bar on a terminal, plain lines now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from streams.times import span

_LINE_EVERY_S = 10


@dataclass(frozen=True)
class Standing:
    """How far a replay is: events done (earlier runs included) of all, this run's rate, and what is left."""

    done: int
    total: int
    rate: float  # events per second
    left_s: float | None
    note: str = ""

    def __str__(self) -> str:
        left = "" if self.left_s is None else f", about {span(self.left_s)} left"
        return f"{self.done:,} of {self.total:,} events, {self.rate:,.0f}/s{left}{self.note and f' ({self.note})'}"


class View(Protocol):
    """Somewhere to show it."""

    def show(self, standing: Standing) -> None:
        """The newest standing; called many times a second."""

    def say(self, line: str) -> None:
        """One thing the user should read."""


class Lines:
    """Plain lines on stderr, one every few seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._shown_s = clock()

    def show(self, standing: Standing) -> None:
        """Print it if the last one is some seconds old."""
        if self._clock() - self._shown_s >= _LINE_EVERY_S:
            self._shown_s = self._clock()
            self.say(str(standing))

    def say(self, line: str) -> None:
        """Print it."""
        print(f"replay: {line}", file=sys.stderr, flush=True)  # noqa: T201


class Bar:
    """A progress bar on stderr."""

    def __init__(self, progress: Progress):
        self._progress = progress
        self._task = progress.add_task("replay", total=None, words="")

    def show(self, standing: Standing) -> None:
        """Move the bar."""
        self._progress.update(self._task, total=standing.total, completed=standing.done, words=str(standing))

    def say(self, line: str) -> None:
        """Print it above the bar."""
        self._progress.console.print(f"replay: {line}", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def open_view() -> Iterator[View]:
    """A bar when stderr is a terminal, lines otherwise."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    with Progress(BarColumn(), TextColumn("{task.fields[words]}"), TimeElapsedColumn(), console=console) as progress:
        yield Bar(progress)
