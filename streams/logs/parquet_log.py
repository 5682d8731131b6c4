"""Parquet event logs: typed columns, checked as a whole by their types and then row by row."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from streams.logs.columns import Rows, json_context
from streams.logs.mapping import Mapping, find_mapping
from streams.logs.options import FIELDS, LogOptions
from wire.errors import InputError

_BATCH_ROWS = 65_536  # a few MB of events, like a block of a text log
_TEXT = (types.is_string, types.is_large_string, types.is_string_view)
_NUMBER = (types.is_integer, types.is_floating, types.is_decimal128)
_TIME = (types.is_timestamp, types.is_date)
_OTHER = (types.is_null, types.is_boolean, types.is_time, types.is_duration)
_BYTES = (types.is_binary, types.is_large_binary)  # how some programs write text


def read_parquet(path: Path, options: LogOptions) -> Iterator[Rows]:
    """The rows of the log, numbered from 1; raises `InputError` for a file or a column type that can't be one."""
    try:
        with pq.ParquetFile(path) as file:
            nested = frozenset(column.name for column in file.schema_arrow if types.is_nested(column.type))
            mapping = find_mapping(file.schema_arrow.names, options, str(path), nested)
            _require_types(file.schema_arrow, mapping, path)
            number = 1
            for batch in file.iter_batches(_BATCH_ROWS):
                yield _rows(batch, mapping, number)
                number += batch.num_rows
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"{path} cannot be read ({str(error).splitlines()[0]}): is it a whole Parquet file?"
        ) from error


def _require_types(schema: pa.Schema, mapping: Mapping, path: Path) -> None:
    for field, name in mapping.columns.items():
        kind = _type_of(schema, name)
        if kind is None:
            first = name.partition(".")[0]
            raise InputError(f"{path} has no column {name}: {first} holds {str(schema.field(first).type)[:100]}")
        if not _fits(field, kind):
            wanted = {"timestamp": "times or numbers", "label": "numbers"}.get(field, "text or numbers")
            raise InputError(f"{path}: column {name} holds {kind}, not {wanted}: convert it first")
    for column in schema:
        if column.name not in mapping.taken and not _passes_as_json(column.type):
            raise InputError(f"{path}: column {column.name} holds {column.type}, which is no JSON: leave it out")


def _type_of(schema: pa.Schema, name: str) -> pa.DataType | None:
    """The type of a column, or of what the path (user.id) leads to; None where it leads nowhere."""
    if name in schema.names:
        kind = schema.field(name).type
        return kind.value_type if types.is_dictionary(kind) else kind
    first, _, rest = name.partition(".")
    inner = schema.field(first).type if first in schema.names else pa.null()
    return _type_of(pa.schema(list(inner)), rest) if types.is_struct(inner) else None


def _fits(name: str, kind: pa.DataType) -> bool:
    known = (*_TEXT, *_NUMBER, *_BYTES, types.is_null)
    more = {"label": (types.is_boolean,), "timestamp": _TIME}.get(name, ())
    return any(is_one(kind) for is_one in (*known, *more))


def _passes_as_json(kind: pa.DataType) -> bool:
    if types.is_dictionary(kind):
        return _passes_as_json(kind.value_type)
    if types.is_nested(kind):
        return all(_passes_as_json(kind.field(at).type) for at in range(kind.num_fields))
    return any(is_one(kind) for is_one in (*_TEXT, *_NUMBER, *_TIME, *_OTHER))


def _rows(batch: pa.RecordBatch, mapping: Mapping, first: int) -> Rows:
    table = pl.DataFrame(pl.from_arrow(pa.record_batch(list(map(_readable, batch.columns)), batch.schema.names)))
    fields = table.select(_column(table, mapping.columns.get(field)).alias(field) for field in FIELDS)
    other = [name for name in table.columns if name not in mapping.taken]
    return Rows(
        mapping=mapping,
        columns=fields.select(_as_text(name, kind) for name, kind in fields.schema.items()),
        context=json_context(table.select(other), table.height),
        raw=table.select(pl.struct(pl.all()).struct.json_encode().alias("raw")).to_series(),
        line=np.arange(first, first + table.height),
    )


def _readable(column: pa.Array) -> pa.Array:
    """The same values; text as text, null where it is no UTF-8, and moments whatever zone they are shown in as UTC."""
    if types.is_timestamp(column.type) and column.type.tz:
        return column.cast(pa.timestamp(column.type.unit, "UTC"))
    if not any(is_one(column.type) for is_one in (*_TEXT, *_BYTES)):
        return column
    try:
        text = column.cast(pa.large_string())
        text.validate(full=True)
    except pa.ArrowInvalid:
        return pa.array([_utf8(value) for value in column.cast(pa.large_binary()).to_pylist()], pa.large_string())
    return text


def _utf8(value: bytes | None) -> str | None:
    try:
        return value.decode() if value is not None else None
    except UnicodeDecodeError:
        return None


def _column(table: pl.DataFrame, name: str | None) -> pl.Expr:
    if name is None:
        return pl.lit(None, pl.String)
    if name in table.columns:
        return pl.col(name)
    first, *rest = name.split(".")
    column = pl.col(first)
    for inner in rest:
        column = column.struct.field(inner)
    return column


def _as_text(name: str, kind: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if name == "timestamp" and (kind.is_temporal() or kind.is_integer()):
        return column
    if kind == pl.Boolean:
        return column.cast(pl.Int8).cast(pl.String)
    if kind.is_float() and name.endswith(
        "_id"
    ):  # whole numbers become floats where a program has seen a null among them
        whole = pl.when(column.floor() == column).then(column.cast(pl.Int64, strict=False).cast(pl.String))
        return whole.otherwise(column.cast(pl.String)).alias(name)
    return column.cast(pl.String)
