"""The window's order and edge: which samples are in, as a pure function of the samples seen.

Samples are ordered by (timestamp, sample key), which no arrival order, restart or sharding changes. The
floor is the newest pair that is *out*; it only ever rises, so a sample that has left never comes back.
"""

from typing import NamedTuple

import numpy as np

from wire.arrays import I64, U64, Bool

KEY_MAX = 2**64 - 1


class Floor(NamedTuple):
    """A place in the window's order; samples at or below it are out."""

    timestamp: int
    sample: int


EVERYTHING = Floor(-(2**63), 0)  # the floor of a pool that nothing has left yet


def above(timestamp: I64, sample: U64, floor: Floor) -> Bool:
    """Which samples are above `floor`, shape (n,)."""
    newer = timestamp > floor.timestamp
    same = timestamp == floor.timestamp
    return newer | (same & (sample > np.uint64(floor.sample))) if same.any() else newer


def age_floor(clock: int | None, window_age_ms: int) -> Floor:
    """The floor that the age limit sets when the newest sample seen has timestamp `clock`."""
    return EVERYTHING if clock is None else Floor(clock - window_age_ms, KEY_MAX)


def late_rows(timestamp: I64, sample: U64, floor: Floor, clock: int | None, window_age_ms: int) -> Bool:
    """Which of n samples, arriving in this order, are out of the window when they arrive, shape (n,).

    Each is judged by the newest timestamp up to itself, so that splitting a block changes nothing.
    """
    newest = np.maximum.accumulate(timestamp)
    if clock is not None:
        newest = np.maximum(newest, clock)
    return ~above(timestamp, sample, floor) | (timestamp <= newest - window_age_ms)


def nth_oldest(timestamp: I64, sample: U64, n: int) -> Floor:
    """The place of the n-th oldest (1 = oldest) of at least n samples."""
    at = np.lexsort((sample, timestamp))[n - 1]
    return Floor(int(timestamp[at]), int(sample[at]))
