"""Errands: work that waits for futures and is gone on with a step at a time; and chores, which come again and again."""

from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any

from wire.clock import Clock

RARELY_MS = 15_000  # between chores at most, however long one took
BUSY_SHARE = 0.05  # of the time at most goes into a chore: scores and snapshots grow with what there is

Work = Generator[Future[Any] | None, Any, None]  # None: it goes on in the next step


class Errand:
    """Steps through `work`, which yields the futures that it waits for and gets their results, or None for a pause.

    >>> def work():
    ...     print((yield done))
    >>> done = Future()
    >>> errand = Errand(work())
    >>> errand.step(), done.set_result("here"), errand.step()
    here
    (False, None, True)
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._awaited: Future[Any] | None = None

    def step(self) -> bool:
        """Go on as far as that needs no waiting; whether it is through. Raises what the work does not catch."""
        try:
            while self._awaited is None or self._awaited.done():
                self._awaited = self._go_on(self._awaited)
                if self._awaited is None:
                    return False
        except StopIteration:
            return True
        return False

    def _go_on(self, done: Future[Any] | None) -> Future[Any] | None:
        if done is None:
            return next(self._work)
        if (error := done.exception()) is not None:
            return self._work.throw(error)
        return self._work.send(done.result())


class Chore:
    """An errand again and again, `every_ms` after the last one, or later where it is `sparing` and one took long."""

    def __init__(self, clock: Clock, every_ms: int, work: Callable[[], Work], *, sparing: bool = True) -> None:
        self._clock, self._every_ms, self._work, self._sparing = clock, every_ms, work, sparing
        self._errand: Errand | None = None
        self._begin_at_ms = self._began_ms = 0

    def step(self) -> None:
        """Begin it when it is due, and go on with it."""
        now_ms = self._clock.steady_ms()
        if self._errand is None and now_ms >= self._begin_at_ms:
            self._errand, self._began_ms = Errand(self._work()), now_ms
        self.finish()

    def finish(self) -> bool:
        """Go on with it and begin no other; whether nothing of it is left."""
        errand, self._errand = self._errand, None  # one that fails is not gone on with
        if errand is None:
            return True
        if not errand.step():
            self._errand = errand
            return False
        now_ms = self._clock.steady_ms()
        rest_ms = min(RARELY_MS, (now_ms - self._began_ms) / BUSY_SHARE) if self._sparing else 0
        self._begin_at_ms = now_ms + round(max(self._every_ms, rest_ms))
        return True
