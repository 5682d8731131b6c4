"""The uniform event log: CSV, JSON Lines or Parquet, as checked batches of events.

Required columns are `user_id,item_id,category_id,event_type,label,timestamp` (timestamp in Unix ms); all others are
context and pass through. Malformed rows come out beside the events, with line number and reason.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import structlog

from streams.logs.columns import LogBatch, Rows, check_rows
from streams.logs.csv_log import read_csv
from streams.logs.json_log import read_jsonl
from streams.logs.parquet_log import read_parquet
from streams.logs.rejected import Rejected
from wire.errors import InputError

__all__ = ["LogBatch", "Rejected", "Survey", "encode_events", "load_log", "read_log", "sorted_log", "survey"]

_READERS: dict[str, Callable[[Path], Iterator[Rows]]] = {
    ".csv": read_csv,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".parquet": read_parquet,
}
_COMPRESSED = (".gz", ".zst")
_SORTED_BATCH_ROWS = 65_536

_log = structlog.get_logger()


@dataclass(frozen=True)
class Survey:
    """What a whole log holds: how many events and malformed rows, and from when to when (Unix ms)."""

    events: int
    rejected: int
    first_ms: int
    last_ms: int
    unsorted_line: int | None  # the first event that is earlier than the one before it


def read_log(path: Path) -> Iterator[LogBatch]:
    """The log in batches, in file order.

    Raises `InputError`, before the first batch, for a file that is no log or lacks a column, and later on when it
    turns out to be damaged.
    """
    reader = _reader(path)
    require_file(path)
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty: an event log has at least one event")
    return map(check_rows, reader(path))


def sorted_log(path: Path) -> Iterator[LogBatch]:
    """The log in batches, sorted by time (rows of one moment stay in file order); needs it all in memory at once."""
    batches = list(read_log(path))
    if not batches:
        raise InputError(_no_rows(path))
    rejected = tuple(row for batch in batches for row in batch.rejected)
    events = pl.concat([batch.events for batch in batches]).sort("timestamp", maintain_order=True)
    for number, part in enumerate(events.iter_slices(_SORTED_BATCH_ROWS)):
        yield LogBatch(part, () if number else rejected)
    if not events.height:
        yield LogBatch(events, rejected)


def load_log(path: Path) -> pl.DataFrame:
    """All events of the log, sorted by time, for those who need it whole; malformed rows are told of and left out.

    Raises `InputError` as `read_log` does, and when there is not a single event.
    """
    batches = list(sorted_log(path))
    events = pl.concat([batch.events for batch in batches])
    rejected = [row for batch in batches for row in batch.rejected]
    if rejected:
        first = f"line {rejected[0].line}: {rejected[0].reason}"
        _log.warning("left malformed rows out", path=str(path), rows=len(rejected), first=first)
    if not events.height:
        raise InputError(f"{path} has no event that can be read: `coda replay` says what is wrong with its rows")
    return events


def survey(path: Path) -> Survey:
    """Read the log once for its size, its span and its order; raises `InputError` when it holds no row at all."""
    events = rejected = 0
    first_ms, last_ms, before_ms = 1 << 62, -1, -1
    unsorted_line: int | None = None
    for batch in read_log(path):
        rejected += len(batch.rejected)
        if not batch.events.height:
            continue
        times = batch.events["timestamp"]
        if unsorted_line is None:
            unsorted_line = _unsorted_line(batch.events, before_ms)
        events += len(times)
        before_ms = times[-1]
        first_ms, last_ms = min(first_ms, int(times.min())), max(last_ms, int(times.max()))  # type: ignore[arg-type]
    if not events and not rejected:
        raise InputError(_no_rows(path))
    return Survey(events, rejected, first_ms if events else 0, max(last_ms, 0), unsorted_line)


def encode_events(events: pl.DataFrame) -> list[bytes]:
    """Each event as `wire.event.encode_event` would write it (an absent context is left out), all at once."""
    fields = ("event_id", "user_id", "item_id", "category_id", "event_type", "label", "timestamp")
    plain = pl.struct(*fields).struct.json_encode()
    with_context = pl.concat_str(plain.str.head(-1), pl.lit(',"context":'), "context", pl.lit("}"))
    values = events.select(pl.when(pl.col("context").is_null()).then(plain).otherwise(with_context).alias("value"))
    encoded: list[bytes] = values["value"].cast(pl.Binary).to_list()
    return encoded


def _reader(path: Path) -> Callable[[Path], Iterator[Rows]]:
    inner = Path(path.stem) if path.suffix.lower() in _COMPRESSED else path
    reader = _READERS.get(inner.suffix.lower())
    if reader is None or (reader is read_parquet and inner is not path):
        raise InputError(f"{path} is no event log by its name: use .csv, .jsonl (also .gz, .zst) or .parquet")
    return reader


def require_file(path: Path) -> None:
    """Raise `InputError` unless there is a file: a log is read more than once, which a pipe cannot be."""
    if path.is_dir():
        raise InputError(f"{path} is a directory: give one of the files in it")
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no file but a pipe or device: save the log to a file first")
    if not path.is_file():
        raise InputError(f"there is no file {path}: give a log's path, or a name that `coda data list` knows")


def _no_rows(path: Path) -> str:
    return f"{path} has no rows: an event log has at least one event"


def _unsorted_line(events: pl.DataFrame, before_ms: int) -> int | None:
    earlier = events.filter(pl.col("timestamp") < pl.col("timestamp").shift(1, fill_value=before_ms))
    return int(earlier["line"][0]) if earlier.height else None
