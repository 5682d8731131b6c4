"""Parquet event logs: typed columns, checked as a whole by their types and then row by row."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from streams.logs.columns import NAMES, REQUIRED, Rows, json_context, require_columns
from wire.errors import InputError

_BATCH_ROWS = 65_536  # a few MB of events, like a block of a text log
_TEXT = (types.is_string, types.is_large_string, types.is_string_view)
_NUMBER = (types.is_integer, types.is_floating, types.is_decimal128)
_TIME = (types.is_timestamp, types.is_date)
_OTHER = (types.is_null, types.is_boolean, types.is_time, types.is_duration)
_BYTES = (types.is_binary, types.is_large_binary)  # how some programs write text


def read_parquet(path: Path) -> Iterator[Rows]:
    """The rows of the log, numbered from 1; raises `InputError` for a file or a column type that can't be one."""
    try:
        with pq.ParquetFile(path) as file:
            require_columns(file.schema_arrow.names, str(path))
            _require_types(file.schema_arrow, path)
            number = 1
            for batch in file.iter_batches(_BATCH_ROWS):
                yield _rows(batch, number)
                number += batch.num_rows
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"{path} cannot be read ({str(error).splitlines()[0]}): is it a whole Parquet file?"
        ) from error


def _require_types(schema: pa.Schema, path: Path) -> None:
    for field in schema:
        kind = field.type.value_type if types.is_dictionary(field.type) else field.type
        if field.name not in REQUIRED and not _passes_as_json(kind):
            raise InputError(f"{path}: column {field.name} holds {field.type}, which is no JSON: leave it out")
        if field.name in REQUIRED and not _fits(field.name, kind):
            wanted = {"timestamp": "times or numbers", "label": "numbers"}.get(field.name, "text or numbers")
            raise InputError(f"{path}: column {field.name} holds {field.type}, not {wanted}: convert it first")


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


def _rows(batch: pa.RecordBatch, first: int) -> Rows:
    table = pl.DataFrame(pl.from_arrow(batch)).with_columns(pl.col(pl.Binary).cast(pl.String, strict=False))
    return Rows(
        columns=table.select(_as_text(table.schema, name) for name in REQUIRED),
        context=json_context(table.drop(REQUIRED)),
        raw=table.select(pl.struct(pl.all()).struct.json_encode().alias("raw")).to_series(),
        line=np.arange(first, first + table.height),
    )


def _as_text(schema: pl.Schema, name: str) -> pl.Expr:
    column, kind = pl.col(name), schema[name]
    if isinstance(kind, pl.Datetime | pl.Date):
        column = column.dt.epoch("ms")
    elif kind == pl.Boolean:
        column = column.cast(pl.Int8)
    elif kind.is_float() and name in NAMES:  # whole numbers become floats where a program has seen a null among them
        whole = pl.when(column.floor() == column).then(column.cast(pl.Int64, strict=False).cast(pl.String))
        return whole.otherwise(column.cast(pl.String)).alias(name)
    return column.cast(pl.String)
