"""Parquet event logs: typed columns, checked as a whole by their types and then row by row."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from streams.logs.columns import NAMES, REQUIRED, Rows, json_context, require_columns
from wire.errors import InputError

_BATCH_ROWS = 65_536  # a few MB of events, like a block of a text log


def read_parquet(path: Path) -> Iterator[Rows]:
    """The rows of the log, numbered from 1; raises `InputError` for a file or a column type that can't be one."""
    try:
        with pq.ParquetFile(path) as file:
            require_columns(file.schema_arrow.names, str(path))
            _require_types(file.schema_arrow, path)
            number = 1
            for batch in file.iter_batches(_BATCH_ROWS):
                yield _rows(batch, number, path)
                number += batch.num_rows
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path} cannot be read ({str(error).splitlines()[0]}): is it a whole Parquet file?"
        ) from error


def _require_types(schema: pa.Schema, path: Path) -> None:
    for name in REQUIRED:
        kind = schema.field(name).type
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not _fits(name, plain):
            wanted = "text or whole numbers" if name in NAMES else "numbers"
            raise InputError(f"{path}: column {name} holds {kind}, not {wanted}: convert it first")


def _fits(name: str, kind: pa.DataType) -> bool:
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if text or pa.types.is_integer(kind) or pa.types.is_null(kind):
        return True
    if name == "label":
        return bool(pa.types.is_boolean(kind) or pa.types.is_floating(kind))
    return name == "timestamp" and bool(pa.types.is_floating(kind) or pa.types.is_timestamp(kind))


def _rows(batch: pa.RecordBatch, first: int, path: Path) -> Rows:
    table = pl.DataFrame(pl.from_arrow(batch))
    try:
        raw = table.select(pl.struct(pl.all()).struct.json_encode().alias("raw")).to_series()
        context = json_context(table.drop(REQUIRED))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InputError(f"{path} has a column that cannot pass through as JSON ({error}): leave it out") from error
    return Rows(
        columns=table.select(_as_text(table.schema, name) for name in REQUIRED),
        context=context,
        raw=raw,
        line=np.arange(first, first + table.height),
    )


def _as_text(schema: pl.Schema, name: str) -> pl.Expr:
    column = pl.col(name)
    if isinstance(schema[name], pl.Datetime):
        column = column.dt.epoch("ms")
    elif schema[name] == pl.Boolean:
        column = column.cast(pl.Int8)
    return column.cast(pl.String)
