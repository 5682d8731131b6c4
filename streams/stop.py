"""Being told to stop: the first SIGINT or SIGTERM asks, and whoever runs finishes what is on its way."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(Exception):
    """Whoever ran was told to stop."""


class Stop:
    """Remembers the first signal that asked to stop; a second one ends the process at once."""

    def __init__(self, *signals: signal.Signals) -> None:
        self._signals = signals or (signal.SIGINT, signal.SIGTERM)
        self.signal = 0

    @property
    def exit_code(self) -> int:
        """As shells report it: 128 + the signal, 0 without one."""
        return 128 + self.signal if self.signal else 0

    def told(self) -> bool:
        """Whether a signal has come."""
        return bool(self.signal)

    def check(self) -> None:
        """Raise `Stopped` once a signal has come: for loops that a signal's own exception might break in the middle."""
        if self.signal:
            raise Stopped

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take these signals (SIGINT and SIGTERM) while the block runs."""
        before = [signal.signal(number, self._heard) for number in self._signals]
        try:
            yield
        finally:
            for number, handler in zip(self._signals, before, strict=True):
                signal.signal(number, handler)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number
