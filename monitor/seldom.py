"""Warnings about what happens over and over: said at once, and then once a minute with how often."""

import time
from collections.abc import Callable

import structlog

EVERY_S = 60.0

_log = structlog.get_logger()


class Seldom:
    """Says the newest of like warnings at most every `EVERY_S`; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said_s = float("-inf")
        self._unsaid = 0

    def warning(self, line: str) -> None:
        """Say this, unless something was said just now."""
        self._unsaid += 1
        now_s = self._clock()
        if now_s - self._said_s >= EVERY_S:
            _log.warning(line, times=self._unsaid)
            self._said_s, self._unsaid = now_s, 0
