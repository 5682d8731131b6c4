"""The hands of a fleet: where the work is done that would hold up its rounds."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Hands(NamedTuple):
    """Each does one thing at a time, in order; `cpu_s` says how much a training has computed, to be charged for it."""

    polling: Executor  # whatever is done with the consumer of own events
    training: Executor
    aside: Executor  # writing, scoring, looking at lags
    cpu_s: Callable[[], float]


class AtOnce(Executor):
    """Hands that do what they are given while they are given it: for who has no threads.

    >>> AtOnce().submit(int, "3").result()
    3
    """

    def submit(self, work: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Do it; the future is done."""
        done: Future[T] = Future()
        try:
            done.set_result(work(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done
