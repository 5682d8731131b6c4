"""Waits that may last for ever, because what they wait for may come back: they say every 30 s that they go on."""

from collections.abc import Callable

import structlog

EVERY_MS = 30_000

_log = structlog.get_logger()


class Waiting:
    """One thing that is waited for, again and again; `steady_ms` is a clock that nobody sets."""

    def __init__(self, steady_ms: Callable[[], int]) -> None:
        self._steady_ms = steady_ms
        self._since_ms = self._said_ms = steady_ms()

    def over(self) -> None:
        """It came; a next wait begins now."""
        self._since_ms = self._said_ms = self._steady_ms()

    def go_on(self, what: str) -> None:
        """It has not come yet: say so if nothing was said for a while."""
        now_ms = self._steady_ms()
        if now_ms - self._said_ms >= EVERY_MS:
            self._said_ms = now_ms
            _log.warning(f"waiting for {what}, for {(now_ms - self._since_ms) / 1000:.0f} s by now")
