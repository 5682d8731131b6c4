"""Trainings of trees, at once or beside the stream.

Trees of many moments take seconds, in which no event would be answered. Where nobody waits for an answer they are
trained at once, and the same stream gives the same predictions; live beside it, and those that were go on predicting.
"""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Self

from models.streamed.boosted import Boosted

# It trains, and calls what it is given after each round: what that raises ends it.
Job = Callable[[Callable[[], None]], Boosted]
Hand = Callable[[Job], "Future[Boosted]"]


class Abandoned(Exception):
    """Nobody waits for it any more."""


def at_once(job: Job) -> "Future[Boosted]":
    """A hand that does what it is given before anything else."""
    done: Future[Boosted] = Future()
    done.set_result(job(lambda: None))
    return done


class Beside:
    """A hand that has a `thread` do it while the block runs; what it is doing ends with that, or once somebody is
    `stopping`: whoever waits for it then is told that it is `Abandoned`."""

    def __init__(self, thread: Executor, stopping: Callable[[], bool]) -> None:
        self._thread, self._stopping = thread, stopping
        self._left = False

    def __call__(self, job: Job) -> "Future[Boosted]":
        """Begin with it."""
        return self._thread.submit(job, self._look)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._left = True

    def _look(self) -> None:
        if self._left or self._stopping():
            raise Abandoned
