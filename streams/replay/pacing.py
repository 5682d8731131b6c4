"""When each event of a replay is due (sans-I/O: the clock's reading is passed in)."""

import math

import numpy as np

from wire.arrays import I64
from wire.errors import InputError


def parse_speed(text: str) -> float:
    """How many times faster than event time; `max` is infinity.

    >>> parse_speed("60"), parse_speed("max")
    (60.0, inf)
    """
    try:
        speed = math.inf if text == "max" else float(text)
    except ValueError:
        speed = math.nan
    if not speed > 0:
        raise InputError(f"--speed {text} is no speed: give a number above 0 (× event time), or max")
    return speed


class Pacer:
    """Maps event time to wall time, from the first event on: a replay that was held up catches up.

    An event that is earlier than one before it is due at once, so a stream that is not quite sorted flows on.
    """

    def __init__(self, speed: float):
        self._speed = speed
        self._origin: tuple[float, int] | None = None  # (wall s, event ms)

    def due(self, timestamps: I64, start: int, now_s: float) -> int:
        """The end of the run of events from `start` on that are due at `now_s`."""
        if math.isinf(self._speed):
            return len(timestamps)
        if self._origin is None:
            self._origin = (now_s, int(timestamps[start]))
        wall_s, event_ms = self._origin
        until_ms = event_ms + (now_s - wall_s) * 1000 * self._speed
        late = np.flatnonzero(timestamps[start:] > until_ms)
        return start + int(late[0]) if len(late) else len(timestamps)

    def wait_s(self, timestamp_ms: int, now_s: float) -> float:
        """How long until an event of this time is due."""
        if self._origin is None or math.isinf(self._speed):
            return 0
        wall_s, event_ms = self._origin
        return max(0.0, wall_s + (timestamp_ms - event_ms) / 1000 / self._speed - now_s)
