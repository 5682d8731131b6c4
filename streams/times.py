"""Moments and durations as people write them."""

import re
from datetime import UTC, datetime
from typing import Self

from wire.errors import InputError

DAY_MS = 86_400_000
_UNIT_MS = {"d": DAY_MS, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


class Duration(float):
    """Seconds, written `250ms`, `90s`, `5m`, `24h` or `7d`.

    >>> Duration.parse("12h").ms, str(Duration.parse("0.5h")), str(Duration.parse("36h"))
    (43200000, '30m', '36h')
    """

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises `InputError`."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|[smhd])", text.strip())
        if match is None:
            raise InputError(f"{text!r} is no duration: write a number and ms, s, m, h or d, such as 90s or 24h")
        return cls(round(float(match[1]) * _UNIT_MS[match[2]]) / 1000)

    @property
    def ms(self) -> int:
        """In milliseconds."""
        return round(self * 1000)

    @property
    def s(self) -> float:
        """In seconds."""
        return float(self)

    def __str__(self) -> str:
        fits = [unit for unit, ms in _UNIT_MS.items() if self.ms % ms == 0 and (self.ms >= 2 * ms or unit != "d")]
        unit = fits[0] if self.ms else "s"
        return f"{self.ms // _UNIT_MS[unit]}{unit}"


def parse_moment_ms(text: str) -> int:
    """A moment as Unix ms: either that already, or an ISO date or time, taken as UTC unless it names a zone.

    >>> parse_moment_ms("1970-01-02"), parse_moment_ms("86400000")
    (86400000, 86400000)
    """
    if re.fullmatch(r"-?\d+", text.strip()):
        return int(text)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InputError(
            f"{text!r} is no moment: write Unix ms, or an ISO date or time such as 2003-01-31T12:00"
        ) from error
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def moment(moment_ms: float) -> str:
    """A moment as people read it, to the minute, in UTC.

    >>> moment(86_400_000)
    '1970-01-02 00:00'
    """
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(sep=" ")[:16]


def span(seconds: float | None) -> str:
    """Seconds in as few characters as tell enough; a dash where nothing is known.

    >>> span(0.0421), span(1.26), span(75), span(3700), span(200_000), span(None)
    ('42 ms', '1.3 s', '1 min 15 s', '1 h 1 min', '2 d 7 h', '–')
    """
    if seconds is None:
        return "–"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {int(seconds % 60)} s" if minutes else f"{seconds:.0f} s"


def ago(seconds: float | None) -> str:
    """How long ago that was.

    >>> ago(0.2), ago(12), ago(None)
    ('now', '12 s ago', 'never')
    """
    if seconds is None:
        return "never"
    return "now" if seconds < 3 else f"{span(seconds)} ago"
