"""Waits that may last for ever, because what they wait for may come back: they say every 30 s that they go on."""

import time
from collections.abc import Callable

import structlog

EVERY_S = 30.0

_log = structlog.get_logger()


class Waiting:
    """One thing that is waited for, again and again; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since_s = self._said_s = clock()

    def over(self) -> None:
        """It came; a next wait begins now."""
        self._since_s = self._said_s = self._clock()

    def go_on(self, what: str) -> None:
        """It has not come yet: say so if nothing was said for a while."""
        now_s = self._clock()
        if now_s - self._said_s >= EVERY_S:
            self._said_s = now_s
            _log.warning(f"waiting for {what}, for {now_s - self._since_s:.0f} s by now")
