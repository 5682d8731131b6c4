"""How a log writes its times: numbers in one of four units, or text in one of many formats; found from the values."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

import polars as pl

from streams.logs.options import LogOptions
from wire.errors import InputError

_LAST_MS = 253_402_300_799_999  # the end of year 9999, as in wire.event
_FIRST_YEAR, _LAST_YEAR = 1990, 2100  # nobody logged behaviour before, and nobody can have done so after
_PER_MS = {"s": 1e-3, "ms": 1.0, "us": 1e3, "ns": 1e6}
_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
# The years 1990 to 2100 in each unit: no two of them overlap. Other numbers fit any unit.
_BANDS = {unit: (631e9 * per_ms, 4134e9 * per_ms) for unit, per_ms in _PER_MS.items()}
# So many rows of another unit than most have are no slips any more: the log mixes units.
_MIXED_ROWS, _MIXED_SHARE = 2, 0.05
# A format in which none of so many rows is written is not the log's: trying all on every row takes seconds.
_SOME_ROWS = 1_000
_ISO = (
    *("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d"),
    *("%Y%m%d %H%M%S%#z", "%Y%m%d %H%M%S"),
)
_DIGITS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}  # dates as numbers: no unit makes them plausible
_DAYS = ("%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%b %d, %Y", "%d %b %Y", "%d-%b-%Y")
_CLOCKS = (" %H:%M:%S%.f", " %H:%M", " %I:%M:%S %p", " %I:%M %p", "")
_OTHERS = (
    *(f"{day}{clock}" for day in _DAYS for clock in _CLOCKS),
    "%d/%b/%Y:%H:%M:%S%#z",  # web servers
    "%a, %d %b %Y %H:%M:%S%#z",  # mail, HTTP
    "%a %b %d %H:%M:%S%#z %Y",
    "%a %b %d %H:%M:%S %Y",
)


@dataclass(frozen=True)
class TimeRule:
    """One way to read the column `timestamp`: as numbers of a unit, or as text in the first of `formats` that fits.

    A zone counts for times that name none; numbers outside `band` are of another unit than the log's.
    """

    unit: str = ""
    formats: tuple[str, ...] = ()
    zone: str = "UTC"
    band: tuple[float, float] | None = None

    def __str__(self) -> str:
        if self.unit:
            return f"in {self.unit}"
        how = "as dates" if not self.formats else "in ISO 8601" if len(self.formats) > 1 else f"as {self.formats[0]}"
        return f"{how}, {self.zone} where no zone is given"

    @property
    def wanted(self) -> str:
        """What a value should have been."""
        years = f" of {_FIRST_YEAR} to {_LAST_YEAR}" if self.band else ""
        return f"a time in {_NAMES[self.unit]}{years}" if self.unit else f"a time written {self}"

    def milliseconds(self, kind: pl.DataType) -> pl.Expr:
        """The column `timestamp`, of this type, as Unix ms; null where it is no time of years 1970 to 9999."""
        column = pl.col("timestamp")
        if isinstance(kind, pl.Date | pl.Datetime):
            has_zone = isinstance(kind, pl.Datetime) and kind.time_zone is not None
            ms = column.dt.epoch("ms") if has_zone else _in_zone(column.cast(pl.Datetime("ms")), self.zone)
        elif self.unit:
            return _scaled(column if kind.is_integer() else column.str.strip_chars(), self.unit, self.band)
        else:
            read = partial(_read, formats=self.formats, zone=self.zone)
            ms = column.cast(pl.String).map_batches(read, return_dtype=pl.Int64)
        return pl.when(ms.is_between(0, _LAST_MS)).then(ms)


def implausible(first_ms: int, last_ms: int) -> str:
    """One line about a span that hardly is what was meant, "" where nothing is odd."""
    years = [datetime.fromtimestamp(moment / 1000, UTC).year for moment in (first_ms, last_ms)]
    if years[0] >= _FIRST_YEAR and years[1] <= _LAST_YEAR:
        return ""
    return (
        f"the events are of the years {years[0]} to {years[1]}: if that is wrong, say how times are written "
        "(--time-unit s, --time-format) or which column they are in (--column timestamp=NAME)"
    )


def find_time_rule(values: pl.Series, options: LogOptions, where: str) -> TimeRule:
    """How `values`, the first times of a log, are to be read; raises `InputError` where that is not certain."""
    try:
        ZoneInfo(options.time_zone)
    except (ValueError, OSError, ModuleNotFoundError, LookupError) as error:
        raise InputError(f"--time-zone {options.time_zone} is no zone: write it as in Europe/Berlin") from error
    zone = options.time_zone
    if isinstance(values.dtype, pl.Date | pl.Datetime):
        return TimeRule(zone=zone)
    if options.time_format:
        return TimeRule(formats=(options.time_format,), zone=zone)
    if options.time_unit:
        return TimeRule(unit=options.time_unit)
    texts = values.cast(pl.String).str.strip_chars()
    texts = texts.filter(texts.is_not_null() & (texts != ""))
    dates = next((form for digits, form in _DIGITS.items() if _are_dates(texts, digits, form)), "")
    if dates:
        return TimeRule(formats=(dates,), zone=zone)
    numbers = texts.cast(pl.Float64, strict=False)
    known = numbers.filter(numbers.is_finite())
    if 2 * len(known) >= len(texts):
        return _unit_rule(known, where)
    return _format_rule(texts.filter(~numbers.is_finite().fill_null(value=False)), zone, where)


def _are_dates(texts: pl.Series, digits: int, form: str) -> bool:
    """Whether most of the texts are such as 20231231, of years in which behaviour was logged."""
    written = texts.filter((texts.str.len_bytes() == digits) & texts.str.contains(r"^(199|20)\d+$"))
    return 2 * len(written) > len(texts) and 2 * _fitting(written, form) > len(texts)


def _unit_rule(numbers: pl.Series, where: str) -> TimeRule:
    counts = {unit: int(numbers.is_between(*band, closed="left").sum()) for unit, band in _BANDS.items()}
    first, second = sorted(counts, key=lambda unit: -counts[unit])[:2]
    if counts[second] >= max(_MIXED_ROWS, _MIXED_SHARE * counts[first]):
        raise InputError(
            f"{where} mixes times in {first} ({counts[first]} of the first rows) and in {second} ({counts[second]}): "
            f"bring them to one unit, or give --time-unit {first} or --time-unit {second}"
        )
    if 2 * counts[first] <= len(numbers):  # of no unit for sure: ms, as the documents promise
        return TimeRule(unit="ms")
    return TimeRule(unit=first, band=_BANDS[first])


def _format_rule(texts: pl.Series, zone: str, where: str) -> TimeRule:
    some = texts.gather_every(1 + len(texts) // _SOME_ROWS)
    fitting = {each: _fitting(texts, each) for each in (*_ISO, *_OTHERS) if _fitting(some, each)}
    if not fitting.keys().isdisjoint(_ISO):
        return TimeRule(formats=tuple(sorted(_ISO, key=lambda each: -fitting.get(each, 0))), zone=zone)
    best = [each for each, rows in fitting.items() if rows == max(fitting.values())]
    example = repr(texts[0][:40])
    if not best:
        raise InputError(
            f"{where} has times such as {example}, written in no way known here: say how, such as "
            "--time-format '%d/%b/%Y %H:%M:%S', or say which column holds the time, with --column timestamp=NAME"
        )
    if len(best) > 1:
        choices = " or ".join(f"--time-format '{each}'" for each in best)
        raise InputError(f"{where} has times such as {example}, which have two meanings: give {choices}")
    return TimeRule(formats=tuple(best), zone=zone)


def _fitting(texts: pl.Series, form: str) -> int:
    """How many of the texts are written so."""
    parsed = _parsed(pl.col("timestamp"), form, "UTC")
    return int(texts.to_frame("timestamp").select(parsed.is_not_null().sum()).item())


def _read(texts: pl.Series, formats: Sequence[str], zone: str) -> pl.Series:
    """Text as ms, null where it is in none of the formats; each is tried on what those before it leave over."""
    form, *others = formats
    ms = texts.to_frame("text").select(_parsed(pl.col("text"), form, zone)).to_series()
    left = ms.is_null()
    return ms.scatter(left.arg_true(), _read(texts.filter(left), others, zone)) if others and left.any() else ms


def _parsed(text: pl.Expr, form: str, zone: str) -> pl.Expr:
    """Text as ms, null where it is not written so."""
    plain = text.str.strip_chars().str.replace(r"^(\S{8,10})T", "$1 ")
    plain = plain.str.replace(r"\s+([+-]\d\d:?\d\d)( UTC| GMT)?$", "$1").str.replace(r"\s*(Z|UTC|GMT)$", "+0000")
    has_zone = re.search(r"%[#:]*z", form) is not None
    known = form in _ISO or form in _OTHERS
    time = (plain if known else text.str.strip_chars()).str.to_datetime(form, time_unit="ms", strict=False)
    return time.dt.epoch("ms") if has_zone else _in_zone(time, zone)


def _in_zone(time: pl.Expr, zone: str) -> pl.Expr:
    """A time without a zone as ms; the hour that comes twice in autumn is the first of the two."""
    if zone != "UTC":
        time = time.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return time.dt.epoch("ms")


def _scaled(column: pl.Expr, unit: str, band: tuple[float, float] | None) -> pl.Expr:
    """Numbers, or text that holds them, as ms; null outside `band`, which no NaN is in."""
    number, per_ms = column.cast(pl.Float64, strict=False), _PER_MS[unit]
    first, end = band or (0.0, (_LAST_MS + 1) * per_ms)
    known = number.is_between(first, end, closed="left")
    return pl.when(known).then((number / per_ms).round()).cast(pl.Int64, strict=False)
