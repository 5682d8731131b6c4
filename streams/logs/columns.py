"""Rows of text become events, or are rejected with a reason: one set of rules for every file format."""

from dataclasses import dataclass

import polars as pl
from xxhash import xxh3_64_hexdigest

from streams.logs.rejected import ROW_BYTES, Rejected, too_long
from wire.arrays import I64
from wire.errors import InputError

NAMES = ("user_id", "item_id", "category_id", "event_type")
REQUIRED = (*NAMES, "label", "timestamp")
# The limits of models/event.py, in the units polars counts in.
_NAME_CHARS = 256
_LAST_MS = 253_402_300_799_999
_EXACT_FLOAT = 2.0**53  # beyond it a float no longer says which ms is meant


@dataclass(frozen=True)
class LogBatch:
    """Some rows of a log, in file order.

    `events` has `event_id, user_id, item_id, category_id, event_type` (String), `label` (Int8), `timestamp` (Int64,
    Unix ms), `context` (String: a JSON object, or null) and `line` (Int64: line of the file, or row of a Parquet one).
    """

    events: pl.DataFrame
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True)
class Rows:
    """Rows before they are checked: `columns` has the six required ones as String; the others run beside it.

    `raw` (String) is what the event's id is made of and what a dead letter holds; `line` numbers the rows.
    """

    columns: pl.DataFrame
    context: pl.Series
    raw: pl.Series
    line: I64
    rejected: tuple[Rejected, ...] = ()


def require_columns(found: list[str], where: str) -> None:
    """Raise `InputError` when a required column is missing or a column comes twice."""
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        raise InputError(
            f"{where} has no column {', '.join(missing)}: "
            f"an event log needs {','.join(REQUIRED)} (timestamp in Unix ms)"
        )
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise InputError(f"{where} has the column {twice[0]} more than once: rename one of them")


def check_rows(rows: Rows) -> LogBatch:
    """The events among `rows`, each with its deterministic id, and the rest with the first thing wrong with each."""
    with_raw = rows.columns.lazy().with_columns(rows.raw.rename("raw"), rows.context.rename("context"))
    checked = with_raw.with_columns(
        _reason().alias("reason"),
        pl.col("label").cast(pl.Float64, strict=False).cast(pl.Int8, strict=False),
        _milliseconds().alias("timestamp"),
        pl.Series("line", rows.line, pl.Int64),
    )
    table = checked.collect()
    good = table.filter(pl.col("reason").is_null())
    bad = table.filter(pl.col("reason").is_not_null())
    found = (Rejected.of(line, why, raw.encode()) for line, why, raw in bad.select("line", "reason", "raw").iter_rows())
    return LogBatch(_with_ids(good), tuple(sorted((*rows.rejected, *found))))


def json_context(frame: pl.DataFrame) -> pl.Series:
    """The columns of `frame` as one JSON object per row, null where all of them are."""
    if not frame.width:
        return pl.repeat(None, frame.height, dtype=pl.String, eager=True)
    objects = pl.struct(pl.all()).struct.json_encode()
    return frame.select(pl.when(~pl.all_horizontal(pl.all().is_null())).then(objects).alias("context")).to_series()


def _with_ids(good: pl.DataFrame) -> pl.DataFrame:
    """The id is the hash of the row's content, seeded with its number: equal rows are different events."""
    raws = good["raw"].cast(pl.Binary).to_list()
    ids = pl.Series("event_id", list(map(xxh3_64_hexdigest, raws, good["line"].to_list())), pl.String)
    return good.select(ids, *NAMES, "label", "timestamp", "context", "line")


def _reason() -> pl.Expr:
    fields = (*map(_name_reason, NAMES), _label_reason(), _timestamp_reason())
    return pl.coalesce(_size_reason("raw"), *fields, _size_reason("context"))


def _size_reason(name: str) -> pl.Expr:
    size = pl.col(name).str.len_bytes()
    return pl.when(size > ROW_BYTES).then(pl.format(too_long("{}"), size))


def _name_reason(name: str) -> pl.Expr:
    column = pl.col(name)
    return (
        pl.when(column.is_null() | (column == ""))
        .then(pl.lit(f"no {name}"))
        .when(column.str.len_chars() > _NAME_CHARS)
        .then(pl.lit(f"{name} is longer than {_NAME_CHARS} characters"))
    )


def _label_reason() -> pl.Expr:
    label = pl.col("label")
    return (
        pl.when(label.is_null() | (label == ""))
        .then(pl.lit("no label"))
        .when(~label.cast(pl.Float64, strict=False).is_in([0.0, 1.0]).fill_null(value=False))
        .then(pl.format("label is {}, not 0 or 1", label.str.head(40)))
    )


def _timestamp_reason() -> pl.Expr:
    time = pl.col("timestamp")
    return (
        pl.when(time.is_null() | (time == ""))
        .then(pl.lit("no timestamp"))
        .when(~_milliseconds().is_between(0, _LAST_MS).fill_null(value=False))
        .then(pl.format("timestamp is {}, not whole Unix ms", time.str.head(40)))
    )


def _milliseconds() -> pl.Expr:
    time = pl.col("timestamp")
    number = time.cast(pl.Float64, strict=False)
    whole = number.is_finite() & (number.floor() == number) & (number.abs() < _EXACT_FLOAT)
    return pl.coalesce(time.cast(pl.Int64, strict=False), pl.when(whole).then(number).cast(pl.Int64, strict=False))
