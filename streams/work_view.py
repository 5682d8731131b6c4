"""How far a long piece of work is: what is being done, how much of it, the time left; on stderr."""

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from streams.terminal import say
from streams.times import span

_LINE_EVERY_S = 2.0
Show = Callable[[str, int, int], None]  # what is being done, how much of it is done, how much of it there is
_Part = TypeVar("_Part", bound=Sized)


@contextmanager
def work_view(prefix: str = "", say: Callable[[str], None] = say) -> Iterator[Show]:
    """What to call with how far it is: a bar on a terminal, else lines."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines(prefix, say)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        tasks = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(prefix + what)
            bar.update(tasks[what], completed=done, total=total)

        yield show


class Lines:
    """A line per tenth of each piece of work, unless they follow too fast to be read."""

    def __init__(
        self,
        prefix: str = "",
        say: Callable[[str], None] = say,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._prefix, self._say, self._clock = prefix, say, clock
        self._what, self._tenths, self._began_s, self._said_s = "", 0, 0.0, 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Say it, if it is new or a tenth further than what was said last."""
        now_s = self._clock()
        if what != self._what:
            self._what, self._tenths, self._began_s, self._said_s = what, 0, now_s, now_s
        tenths = 10 * done // max(total, 1)
        if tenths <= self._tenths or (tenths < 10 and now_s - self._said_s < _LINE_EVERY_S):
            return
        self._tenths, self._said_s = tenths, now_s
        left_s = (now_s - self._began_s) * (total - done) / max(done, 1)
        left = f", about {span(left_s)} left" if tenths < 10 else ""
        self._say(f"{self._prefix}{what}: {tenths}0 %{left}")


def shown(what: str, total: int, parts: Iterable[_Part], show: Show) -> Iterator[_Part]:
    """The parts of so many things in all; once what comes of each is done, it is shown."""
    done = 0
    for part in parts:
        yield part
        done += len(part)
        show(what, done, total)
