"""The window's order and edge: which samples are in, as a pure function of the samples seen.

Samples are ordered by (timestamp, sample key), which no arrival order, restart or sharding changes. The
floor is the newest pair that is *out*; it only ever rises, so a sample that has left never comes back.
"""

from typing import NamedTuple

import numpy as np

from wire.arrays import I64, U64, Bool
from wire.moments import NO_EVENT, EventMs

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


def age_floor(now: EventMs, window_age_ms: int) -> Floor:
    """The floor that the age limit sets when event time has come to `now`."""
    return EVERYTHING if now == NO_EVENT else Floor(now - window_age_ms, KEY_MAX)


def nth_oldest(timestamp: I64, sample: U64, n: int) -> Floor:
    """The place of the n-th oldest (1 = oldest) of at least n samples."""
    at = np.lexsort((sample, timestamp))[n - 1]
    return Floor(int(timestamp[at]), int(sample[at]))
