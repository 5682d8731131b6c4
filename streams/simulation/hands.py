"""The hands of a simulated fleet: what they are given is done later, in virtual time, one thing after the other."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any

from device_sim.training import TrainingJob
from streams.simulation.dice import Die
from streams.simulation.timeline import Timeline

POLLING_MS, ASIDE_MS, TRAINING_MS = 1, 50, 500  # on average


class Hand(Executor):
    """Takes `mean_ms` for each thing on average; when its process is gone, what waits is never done."""

    def __init__(self, timeline: Timeline, die: Die, mean_ms: float) -> None:
        self._timeline, self._die, self._mean_ms = timeline, die, mean_ms
        self._free_ms = 0
        self._dead = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do it once everything before it is done."""
        future: Future[Any] = Future()
        self._free_ms = max(self._free_ms, self._timeline.now_ms) + self._die.about(self._mean_ms)
        work = partial(fn, *args, **kwargs)
        self._timeline.after(self._free_ms - self._timeline.now_ms, partial(self._do, future, work))
        return future

    def kill(self) -> None:
        """Its process is gone."""
        self._dead = True

    def _do(self, future: Future[Any], work: Callable[[], Any]) -> None:
        if self._dead:
            return
        try:
            future.set_result(work())
        except Exception as error:  # whoever asks for the result gets it
            future.set_exception(error)


class TrainingHand(Hand):
    """Tells `begun` of every training: what it is given is a `TrainingJob.attempt`."""

    def __init__(self, timeline: Timeline, die: Die, begun: Callable[[TrainingJob], object]) -> None:
        super().__init__(timeline, die, TRAINING_MS)
        self._begun = begun

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do it once everything before it is done."""
        job: TrainingJob = fn.__self__  # type: ignore[attr-defined]
        self._begun(job)
        return super().submit(fn, *args, **kwargs)
