"""How far a training is: a bar on a terminal, a line per tenth elsewhere; both on stderr."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import TimeRemainingColumn

from models.cloud_trainer import Progress

_log = structlog.get_logger()


@contextmanager
def training_view(what: str) -> Iterator[Progress]:
    """A progress callback for one training."""
    if not sys.stderr.isatty():
        yield _Lines(what)
        return
    with Bar(*Bar.get_default_columns()[:-1], TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(what)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _Lines:
    def __init__(self, what: str) -> None:
        self._what = what
        self._tenths = 0

    def __call__(self, done: int, total: int) -> None:
        tenths = 10 * done // total
        if tenths > self._tenths:
            self._tenths = tenths
            _log.info(self._what, done=f"{tenths}0 %")
