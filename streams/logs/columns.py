"""Rows become events, or are rejected with a reason: one set of rules for every file format."""

from dataclasses import dataclass

import polars as pl
from xxhash import xxh3_64_hexdigest

from streams.logs.base_rule import BaseRule
from streams.logs.event_time import TimeRule
from streams.logs.impressions import one_item_a_row
from streams.logs.labels import LabelRule
from streams.logs.mapping import Mapping
from streams.logs.rejected import ROW_BYTES, Rejected, too_long
from wire.arrays import I64

_NAME_CHARS = 256  # as in wire.event
# How programs write that there is no value: taken for an id, all those rows would be one user's, or of one item.
_NOTHING = [
    *(r"\N", "NULL", "null", "NaN", "nan", "NA", "N/A", "<NA>", "None", "NaT"),
    *("undefined", "(not set)", "#N/A"),  # JavaScript, Google Analytics, spreadsheets
]
# What a row has where the log has no such column, or nothing in it.
_DEFAULTS = {"category_id": "unknown", "event_type": "event"}


@dataclass(frozen=True)
class LogBatch:
    """Some rows of a log, in file order.

    `events` has `event_id, user_id, item_id, category_id, event_type` (String), `label` (Int8), `timestamp` (Int64,
    Unix ms), `base` (Float64: log-odds, or null), `context` (String: a JSON object, or null) and `line` (Int64: line
    of the file, or row of a Parquet one).
    """

    events: pl.DataFrame
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True)
class Rows:
    """Rows before they are checked, and which of the log's columns they were taken from.

    `columns` has the fields of `streams.logs.options` as String, null where the log has no such column; `timestamp`
    may be of a time type or of integers instead. `raw` (String) is what the event's id is made of and what a dead
    letter holds.
    """

    mapping: Mapping
    columns: pl.DataFrame
    context: pl.Series
    raw: pl.Series
    line: I64
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True)
class Rules:
    """How a log writes times and bases and says what a positive is."""

    time: TimeRule
    label: LabelRule
    base: BaseRule | None = None


def check_rows(rows: Rows, rules: Rules) -> LogBatch:
    """The events among `rows`, each with its deterministic id, and the rest with the first thing wrong with each."""
    found = rows.columns.with_columns(
        rows.raw.rename("raw"), rows.context.rename("context"), pl.Series("line", rows.line, pl.Int64)
    )
    found = one_item_a_row(found) if rules.label.of_items else found
    read = found.lazy().with_columns(
        rules.label.label().alias("flag"),
        rules.time.milliseconds(rows.columns.schema["timestamp"]).alias("ms"),
        (rules.base.log_odds() if rules.base else pl.lit(None, pl.Float64)).alias("odds"),
        *(pl.col(name).replace("", None).fill_null(default) for name, default in _DEFAULTS.items()),
    )
    table = read.with_columns(_may_be_wrong().alias("doubtful")).collect()
    doubtful = table.filter("doubtful").with_columns(_reason(rules).alias("reason"))
    bad = doubtful.filter(pl.col("reason").is_not_null())
    good = table.filter(~pl.col("line").is_in(bad["line"].to_list())) if bad.height else table
    wrong = (Rejected.of(line, why, raw.encode()) for line, why, raw in bad.select("line", "reason", "raw").iter_rows())
    return LogBatch(_with_ids(good), tuple(sorted((*rows.rejected, *wrong))))


def json_context(frame: pl.DataFrame, rows: int) -> pl.Series:
    """The columns of `frame`, of so many rows, as one JSON object per row, null where all of them are."""
    if not frame.width:
        return pl.repeat(None, rows, dtype=pl.String, eager=True)
    objects = pl.struct(pl.all()).struct.json_encode()
    return frame.select(pl.when(~pl.all_horizontal(pl.all().is_null())).then(objects).alias("context")).to_series()


def _with_ids(good: pl.DataFrame) -> pl.DataFrame:
    """The id is the hash of the row's content, seeded with its number: equal rows are different events."""
    raws = good["raw"].cast(pl.Binary).to_list()
    ids = pl.Series("event_id", list(map(xxh3_64_hexdigest, raws, good["line"].to_list())), pl.String)
    names = ("user_id", "item_id", "category_id", "event_type")
    read = (pl.col(found).alias(name) for name, found in {"label": "flag", "timestamp": "ms", "base": "odds"}.items())
    return good.select(ids, *names, *read, "context", "line")


def _may_be_wrong() -> pl.Expr:
    """Which rows have a reason to look for: quickly told, and true of a few long names that are fine."""
    ids = (pl.col(name).is_null() | _bare(name).is_in(["", *_NOTHING]) for name in ("user_id", "item_id"))
    names = (pl.col(name).str.len_bytes() > _NAME_CHARS for name in ("user_id", "item_id", *_DEFAULTS))
    sizes = (pl.col(name).str.len_bytes() > ROW_BYTES for name in ("raw", "context"))
    unread = (pl.col(name).is_null() for name in ("flag", "ms"))
    return pl.any_horizontal(*ids, *names, *sizes, *unread, _says_otherwise()).fill_null(value=False)


def _reason(rules: Rules) -> pl.Expr:
    names = (
        _empty_reason("user_id"),
        _empty_reason("item_id"),
        _nothing_reason("user_id"),
        _nothing_reason("item_id"),
        *map(_length_reason, ("user_id", "item_id", *_DEFAULTS)),
    )
    label = _unread_reason("flag", rules.label.reads, rules.label.wanted)
    time = _unread_reason("ms", "timestamp", rules.time.wanted)
    wanted = rules.base.wanted if rules.base else ""
    base = pl.when(_says_otherwise()).then(pl.format(f"base is {{}}, not {wanted}", pl.col("base").str.head(40)))
    return pl.coalesce(_size_reason("raw"), *names, label, time, base, _size_reason("context"))


def _says_otherwise() -> pl.Expr:
    """Which rows have a base that cannot be read; one without says nothing."""
    return pl.col("odds").is_null() & ~pl.col("base").is_in(["", *_NOTHING])


def _size_reason(name: str) -> pl.Expr:
    size = pl.col(name).str.len_bytes()
    return pl.when(size > ROW_BYTES).then(pl.format(too_long("{}"), size))


def _empty_reason(name: str) -> pl.Expr:
    return pl.when(pl.col(name).is_null() | (_bare(name) == "")).then(pl.lit(f"no {name}"))


def _nothing_reason(name: str) -> pl.Expr:
    return pl.when(_bare(name).is_in(_NOTHING)).then(pl.format(f"no {name} ({{}})", _bare(name)))


def _bare(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String).str.strip_chars()


def _length_reason(name: str) -> pl.Expr:
    too_long_name = pl.lit(f"{name} is longer than {_NAME_CHARS} characters")
    return pl.when(pl.col(name).str.len_chars() > _NAME_CHARS).then(too_long_name)


def _unread_reason(read: str, name: str, wanted: str) -> pl.Expr:
    """Why `read` is null: there was nothing in the column `name`, or something else than `wanted`."""
    text = pl.col(name).cast(pl.String)
    otherwise = pl.format(f"{name} is {{}}, not {wanted}", text.str.head(40))
    return pl.when(pl.col(read).is_null()).then(pl.coalesce(_empty_reason(name), otherwise))
