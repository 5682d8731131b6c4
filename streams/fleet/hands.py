"""The hands of a fleet: where the work is done that would hold up its rounds."""

from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple


class Hands(NamedTuple):
    """Each does one thing at a time, in order; `cpu_s` says how much a training has computed, to be charged for it."""

    polling: Executor  # whatever is done with the consumer of own events
    training: Executor
    aside: Executor  # writing, scoring, looking at lags
    cpu_s: Callable[[], float]
