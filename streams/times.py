"""Moments and durations as people write them on the command line."""

import re
from datetime import UTC, datetime

from wire.errors import InputError

_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_duration_ms(text: str) -> int:
    """A duration such as `90m`, `12h` or `7d`, in ms.

    >>> parse_duration_ms("12h")
    43200000
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if match is None:
        raise InputError(f"{text!r} is no duration: write a number and s, m, h or d, such as 12h")
    return round(float(match[1]) * _UNIT_MS[match[2]])


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
