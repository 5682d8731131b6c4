"""A row that is no event: where it is, what is wrong with it, and as much of it as a dead letter keeps."""

from typing import NamedTuple

# What an event may hold beside its names, which take 8 KiB at most: together they stay within the 64 KiB of an event
# on Kafka. A longer row is no event, and only so much of it is kept.
ROW_BYTES = 56 << 10


class Rejected(NamedTuple):
    """One row: its line, the reason, its first `ROW_BYTES`."""

    line: int
    reason: str
    raw: bytes

    @classmethod
    def of(cls, line: int, reason: str, raw: bytes) -> "Rejected":
        """The row of these bytes."""
        return cls(line, reason, raw[:ROW_BYTES])


def too_long(length: int | str) -> str:
    """Why a row of so many bytes is no event; `length` may be a placeholder."""
    return f"{length} bytes long, more than the {ROW_BYTES} of an event"
