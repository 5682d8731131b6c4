"""Times that are numbers: what they count and from when on, found from the years that they are then of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from streams.logs.options import Unit
from wire.errors import InputError

# Nobody logged behaviour before the web, nor after next decade. Years that are further apart take days since year 1 for
# hours since 1970, and the ticks of .NET for nanoseconds.
FIRST_YEAR, LAST_YEAR = 1991, 2039
_SPAN_MS = (
    datetime(FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp() * 1e3,
    datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC).timestamp() * 1e3,
)
_LAST_MS = 253_402_300_799_999  # the end of year 9999, as in wire.event
_DAY_MS = 86_400_000
# So many rows of another unit than most have are no slips any more: the log mixes units.
_MIXED_ROWS, _MIXED_SHARE = 2, 0.05
# Small numbers may be row numbers, or seconds since the log's beginning: so few of those lie by chance in one band.
_SMALL, _SMALL_SHARE = ("min", "h", "d", "excel"), 0.95


@dataclass(frozen=True)
class TimeUnit:
    """One of a count takes `ms`, and the count begins `from_ms` after 1970."""

    name: str
    ms: float
    from_ms: int = 0

    @property
    def band(self) -> tuple[float, float]:
        """The numbers of years in which behaviour is logged; no two units share any."""
        first, end = ((moment - self.from_ms) / self.ms for moment in _SPAN_MS)
        return first, end

    def milliseconds(self, number: pl.Expr, band: tuple[float, float] | None) -> pl.Expr:
        """Numbers (Float64) as Unix ms; null outside `band`, by default years 1970 to 9999, which no NaN is in."""
        first, end = band or (-self.from_ms / self.ms, (_LAST_MS + 1 - self.from_ms) / self.ms)
        known = number.is_between(first, end, closed="left")
        return pl.when(known).then((number * self.ms).round() + self.from_ms).cast(pl.Int64, strict=False)


UNITS: Mapping[Unit, TimeUnit] = {
    "s": TimeUnit("seconds", 1e3),
    "ms": TimeUnit("milliseconds", 1),
    "us": TimeUnit("microseconds", 1e-3),
    "ns": TimeUnit("nanoseconds", 1e-6),
    "min": TimeUnit("minutes since 1970", 6e4),
    "h": TimeUnit("hours since 1970", 36e5),
    "d": TimeUnit("days since 1970", _DAY_MS),
    "excel": TimeUnit("days since 1899-12-30", _DAY_MS, -25_569 * _DAY_MS),  # as spreadsheets count
}


def find_unit(numbers: pl.Series, where: str) -> Unit | None:
    """The unit of `numbers` (Float64), the first times of a log; None where they are of likely years in none.

    Raises `InputError` for a log that mixes two.
    """
    counts = {unit: int(numbers.is_between(*each.band, closed="left").sum()) for unit, each in UNITS.items()}
    first, second = sorted(counts, key=lambda unit: -counts[unit])[:2]
    share = _SMALL_SHARE if first in _SMALL else 0.5
    if counts[first] + counts[second] <= share * len(numbers):
        return None
    if counts[second] >= max(_MIXED_ROWS, _MIXED_SHARE * counts[first]):
        raise InputError(
            f"{where} mixes times in {first} ({counts[first]} of the first rows) and in {second} ({counts[second]}): "
            f"bring them to one unit, or give --time-unit {first} or --time-unit {second}"
        )
    return first
