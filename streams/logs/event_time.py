"""How a log writes its times: numbers of some unit, or text in one of many formats; found from the values."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

import polars as pl

from streams.logs.options import LogOptions, Unit
from streams.logs.time_unit import FIRST_YEAR, LAST_YEAR, UNITS, find_unit
from wire.errors import InputError

_LAST_MS = 253_402_300_799_999  # the end of year 9999, as in wire.event
# A format in which none of so many rows is written is not the log's: trying all on every row takes seconds.
_SOME_ROWS = 1_000
_ISO = (
    *("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d %H", "%Y-%m-%d", "%Y-%m"),
    *("%Y%m%d %H%M%S%#z", "%Y%m%d %H%M%S"),
    "%Y-%m-%d %H:%M%#z",  # Java leaves out seconds that are 0
)
# Dates as numbers, with how many digits: tried before any unit, most of which make a date of other years of them.
_DIGITS = (
    *(("%Y%m", 6), ("%Y%m%d", 8), ("%Y%m%d%H", 10), ("%Y%m%d%H%M", 12), ("%Y%m%d%H%M%S", 14), ("%Y%m%d%H%M%S%3f", 17)),
    *(("%y%m%d", 6), ("%y%m%d%H", 8)),
)
_YEARS = {"%Y": r"^(199|20[0-3])\d+$", "%y": r"^(9|[0-2])\d+$"}
_COMPLETE = {
    "%Y%m": ("01", "%d"),
    "%Y-%m": ("-01", "-%d"),
    "%H": ("00", "%M"),
}  # what polars wants behind a format that ends so
_DAYS = (
    *("%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%b %d, %Y", "%d %b %Y", "%d-%b-%Y"),
    *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%y", "%d-%b-%y"),
)
_POINT_ZERO = r"\.0*$"  # of whole numbers, where a program had a gap among them
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

    unit: Unit | None = None
    formats: tuple[str, ...] = ()
    zone: str = "UTC"
    band: tuple[float, float] | None = None

    def __str__(self) -> str:
        if self.unit:
            return f"in {UNITS[self.unit].name}"
        how = "as dates" if not self.formats else "in ISO 8601" if len(self.formats) > 1 else f"as {self.formats[0]}"
        return f"{how}, {self.zone} where no zone is given"

    @property
    def wanted(self) -> str:
        """What a value should have been."""
        years = f" of {FIRST_YEAR} to {LAST_YEAR}" if self.band else ""
        return f"a time {self}{years}" if self.unit else f"a time written {self}"

    def milliseconds(self, kind: pl.DataType) -> pl.Expr:
        """The column `timestamp`, of this type, as Unix ms; null where it is no time of years 1970 to 9999."""
        column = pl.col("timestamp")
        if isinstance(kind, pl.Date | pl.Datetime):
            has_zone = isinstance(kind, pl.Datetime) and kind.time_zone is not None
            ms = column.dt.epoch("ms") if has_zone else _in_zone(column.cast(pl.Datetime("ms")), self.zone)
        elif self.unit:
            number = (column if kind.is_integer() else column.str.strip_chars()).cast(pl.Float64, strict=False)
            ms = UNITS[self.unit].milliseconds(number, self.band)
            return _in_zone(ms.cast(pl.Datetime("ms")), self.zone) if self.unit == "excel" else ms
        else:
            read = partial(_read, formats=self.formats, zone=self.zone)
            ms = column.cast(pl.String).map_batches(read, return_dtype=pl.Int64)
        return pl.when(ms.is_between(0, _LAST_MS)).then(ms)


def implausible(first_ms: int, last_ms: int) -> str:
    """One line about a span that hardly is what was meant, "" where nothing is odd."""
    years = [datetime.fromtimestamp(moment / 1000, UTC).year for moment in (first_ms, last_ms)]
    if years[0] >= FIRST_YEAR and years[1] <= LAST_YEAR:
        return ""
    return (
        f"the events are of the years {years[0]} to {years[1]}: if that is wrong, say how times are written "
        "(--time-unit s, --time-format) or which column they are in (--column timestamp=NAME)"
    )


def find_time_rule(values: pl.Series, options: LogOptions, where: str, *, promised: Unit | None = None) -> TimeRule:
    """How `values`, the first times of a log, are to be read; raises `InputError` where that is not certain.

    Numbers that are of likely years in no unit are taken in the one that the log's layout has `promised`, if any.
    """
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
        return TimeRule(unit=options.time_unit, zone=zone)
    texts = values.cast(pl.String).str.strip_chars()
    return _found(texts.filter(texts.is_not_null() & (texts != "")), zone, where, promised)


def _found(texts: pl.Series, zone: str, where: str, promised: Unit | None) -> TimeRule:
    if not len(texts):
        return TimeRule(unit="ms")  # each of these rows will be told to have no time
    written = {form: _dates(texts, form, digits) for form, digits in _DIGITS}
    if written["%Y%m%d"] == written["%y%m%d%H"]:  # days are usual, hours are not
        del written["%y%m%d%H"]
    if 2 * max(written.values()) > len(texts):
        return TimeRule(formats=(_only(written, texts, where),), zone=zone)
    numbers = texts.cast(pl.Float64, strict=False)
    known = numbers.filter(numbers.is_finite())
    if 2 * len(known) < len(texts):
        return _format_rule(texts.filter(~numbers.is_finite().fill_null(value=False)), zone, where)
    unit = find_unit(known, where)
    if unit is None and promised is None:
        raise InputError(
            f"{where} has times such as {known[0]:.15g}, in no unit of years {FIRST_YEAR} to {LAST_YEAR}: give "
            f"--time-unit ({', '.join(UNITS)}), which may count from a beginning of its own, --time-format, or the "
            "column that holds the time, with --column timestamp=NAME"
        )
    return TimeRule(unit=unit or promised, zone=zone, band=UNITS[unit].band if unit else None)


def _dates(texts: pl.Series, form: str, digits: int) -> int:
    """How many of the texts are such as 20231231, of years in which behaviour was logged."""
    whole = texts.str.replace(_POINT_ZERO, "")
    return _fitting(texts.filter((whole.str.len_bytes() == digits) & whole.str.contains(_YEARS[form[:2]])), form)


def _format_rule(texts: pl.Series, zone: str, where: str) -> TimeRule:
    some = texts.gather_every(1 + len(texts) // _SOME_ROWS)
    fitting = {each: _fitting(texts, each) for each in (*_ISO, *_OTHERS) if _fitting(some, each)}
    if not fitting.keys().isdisjoint(_ISO):
        return TimeRule(formats=tuple(sorted(_ISO, key=lambda each: -fitting.get(each, 0))), zone=zone)
    if not fitting:
        raise InputError(
            f"{where} has times such as {texts[0][:40]!r}, written in no way known here: say how, such as "
            "--time-format '%d/%b/%Y %H:%M:%S', or say which column holds the time, with --column timestamp=NAME"
        )
    return TimeRule(formats=(_only(fitting, texts, where),), zone=zone)


def _only(fitting: Mapping[str, int], texts: pl.Series, where: str) -> str:
    """The format in which most rows are written; raises `InputError` when there are two of them."""
    best = [each for each, rows in fitting.items() if rows == max(fitting.values())]
    if len(best) > 1:
        choices = " or ".join(f"--time-format '{each}'" for each in best)
        raise InputError(f"{where} has times such as {texts[0][:40]!r}, which have two meanings: give {choices}")
    return best[0]


def _fitting(texts: pl.Series, form: str) -> int:
    """How many of the texts are written so; the year 24 is none."""
    parsed = _parsed(pl.col("timestamp"), form, "UTC")
    return int(texts.to_frame("timestamp").select(parsed.is_between(0, _LAST_MS).sum()).item())


def _read(texts: pl.Series, formats: Sequence[str], zone: str) -> pl.Series:
    """Text as ms, null where it is in none of the formats; each is tried on what those before it leave over."""
    form, *others = formats
    ms = texts.to_frame("text").select(_parsed(pl.col("text"), form, zone)).to_series()
    left = ms.is_null()
    return ms.scatter(left.arg_true(), _read(texts.filter(left), others, zone)) if others and left.any() else ms


def _parsed(text: pl.Expr, form: str, zone: str) -> pl.Expr:
    """Text as ms, null where it is not written so."""
    plain = text.str.strip_chars()
    if form in _ISO or form in _OTHERS:
        plain = plain.str.replace(r"^(\S{8,10})T", "$1 ").str.replace(r"\s+([+-]\d\d:?\d\d)( UTC| GMT)?$", "$1")
        plain = plain.str.replace(r"\s*(Z|UTC|GMT)$", "+0000")
    elif form in dict(_DIGITS):
        plain = plain.str.replace(_POINT_ZERO, "")
    more, parts = next((more for end, more in _COMPLETE.items() if form.endswith(end)), ("", ""))
    time = (plain + more).str.to_datetime(form + parts, time_unit="ms", strict=False)
    has_zone = re.search(r"%[#:]*z", form) is not None
    return time.dt.epoch("ms") if has_zone else _in_zone(time, zone)


def _in_zone(time: pl.Expr, zone: str) -> pl.Expr:
    """A time without a zone as ms; the hour that comes twice in autumn is the first of the two."""
    if zone != "UTC":
        time = time.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return time.dt.epoch("ms")
