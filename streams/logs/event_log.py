"""Event logs: CSV and other text, JSON Lines or Parquet, as checked batches of events.

Which columns are what, how times are written and what a positive is are found from the log's first rows, or said by
the user (`streams.logs.options`). All other columns are context and pass through. Malformed rows come out beside the
events, with line number and reason.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import structlog

from streams.logs.columns import LogBatch, Rows, Rules, check_rows
from streams.logs.csv_log import read_csv
from streams.logs.event_time import TimeRule, find_time_rule, implausible
from streams.logs.json_log import read_jsonl
from streams.logs.labels import LabelRule, find_label_rule
from streams.logs.options import AS_FOUND, FIELDS, LogOptions
from streams.logs.parquet_log import read_parquet
from streams.logs.rejected import Rejected
from wire.decoder import FORMAT
from wire.errors import InputError
from wire.event import EVENT_FORMAT

__all__ = [
    "EventLog",
    "LogBatch",
    "Rejected",
    "Survey",
    "encode_events",
    "load_log",
    "read_log",
    "sorted_log",
    "survey",
]

Reader = Callable[[Path, LogOptions], Iterator[Rows]]
_TEXT = (".csv", ".tsv", ".tab", ".psv", ".txt", ".dat", ".data", ".inter")
_READERS: dict[str, Reader] = {
    **dict.fromkeys(_TEXT, read_csv),
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_jsonl,
    ".parquet": read_parquet,
}
_COMPRESSED = (".gz", ".zst")
_SORTED_BATCH_ROWS = 65_536

_log = structlog.get_logger()


class EventLog:
    """One log file and how it is read, found from its first rows; `str` says what was taken for what.

    Raises `InputError` for a file that is no log, has no rows or leaves open what its columns mean.
    """

    def __init__(self, path: Path, options: LogOptions = AS_FOUND):
        self._reader = _reader(path)
        require_file(path)
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty: an event log has at least one event")
        self.path, self.options = path, options
        rejected: list[Rejected] = []
        for rows in self._reader(path, options):
            rejected.extend(rows.rejected[:1])
            if rows.columns.height:
                self.mapping, self.rules = rows.mapping, _rules(rows, options, str(path))
                return
        if not rejected:
            raise InputError(f"{path} has no rows: an event log has at least one event")
        raise InputError(f"{path} has no row that can be read: {_first_reason(rejected)}")

    def __str__(self) -> str:
        return f"{self.path}: {self.mapping}; times {self.rules.time}; {self.rules.label}"

    @property
    def is_uniform(self) -> bool:
        """Whether the file is as the documents have a log: all fields by their names, ms, labels of 0 and 1."""
        return self.mapping.columns == {field: field for field in FIELDS} and self.rules == Rules(
            TimeRule("ms", band=self.rules.time.band), LabelRule()
        )

    def batches(self) -> Iterator[LogBatch]:
        """The log in batches, in file order; raises `InputError` when it turns out to be damaged later on."""
        return (check_rows(rows, self.rules) for rows in self._reader(self.path, self.options))


@dataclass(frozen=True)
class Survey:
    """What a whole log holds: how many events and malformed rows, and from when to when (Unix ms)."""

    events: int
    rejected: int
    positives: int
    first_ms: int
    last_ms: int
    unsorted_line: int | None  # the first event that is earlier than the one before it

    def notes(self, path: Path) -> list[str]:
        """What is odd about it, one line each."""
        if not self.events:
            return []
        lines = [implausible(self.first_ms, self.last_ms)]
        if self.positives == self.events:
            lines.append(
                f"all events are positives, from which nobody learns what is not wanted: `coda data get {path} "
                "--negatives 2` makes a log with sampled negatives"
            )
        if not self.positives:
            lines.append("no event is a positive, so there is nothing to learn: see --positive")
        return [line for line in lines if line]


def read_log(path: Path, options: LogOptions = AS_FOUND) -> Iterator[LogBatch]:
    """The log in batches, in file order; raises `InputError` as `EventLog` does, before the first of them."""
    return EventLog(path, options).batches()


def sorted_log(path: Path, options: LogOptions = AS_FOUND) -> Iterator[LogBatch]:
    """The log in batches, sorted by time (rows of one moment stay in file order); needs it all in memory at once."""
    batches = list(read_log(path, options))
    rejected = tuple(row for batch in batches for row in batch.rejected)
    events = pl.concat([batch.events for batch in batches]).sort("timestamp", maintain_order=True)
    for number, part in enumerate(events.iter_slices(_SORTED_BATCH_ROWS)):
        yield LogBatch(part, () if number else rejected)
    if not events.height:
        yield LogBatch(events, rejected)


def load_log(path: Path, options: LogOptions = AS_FOUND) -> pl.DataFrame:
    """All events of the log, sorted by time, for those who need it whole; malformed rows are told of and left out.

    Raises `InputError` as `read_log` does, and when there is not a single event.
    """
    found = EventLog(path, options)
    if not found.is_uniform:
        _log.info(f"reading {found}")
    batches = list(sorted_log(path, options))
    events = pl.concat([batch.events for batch in batches])
    rejected = [row for batch in batches for row in batch.rejected]
    if not events.height:
        raise InputError(f"{path} has no event that can be read: {_first_reason(rejected)}")
    if rejected:
        _log.warning("left malformed rows out", path=str(path), rows=len(rejected), first=_first_reason(rejected))
    odd = implausible(int(events["timestamp"][0]), int(events["timestamp"][-1]))
    if odd:
        _log.warning(odd, path=str(path))
    return events


def survey(path: Path, options: LogOptions = AS_FOUND) -> Survey:
    """Read the log once for its size, its span and its order; raises `InputError` when it holds no row at all."""
    events = rejected = positives = 0
    first_ms, last_ms, before_ms = 1 << 62, -1, -1
    unsorted_line: int | None = None
    for batch in read_log(path, options):
        rejected += len(batch.rejected)
        if not batch.events.height:
            continue
        times = batch.events["timestamp"]
        if unsorted_line is None:
            unsorted_line = _unsorted_line(batch.events, before_ms)
        events += len(times)
        positives += int(batch.events["label"].sum())
        before_ms = times[-1]
        first_ms, last_ms = min(first_ms, int(times.min())), max(last_ms, int(times.max()))  # type: ignore[arg-type]
    return Survey(events, rejected, positives, first_ms if events else 0, max(last_ms, 0), unsorted_line)


def encode_events(events: pl.DataFrame) -> list[bytes]:
    """Each event as `wire.event.encode_event` would write it (an absent context is left out), all at once."""
    fields = ("event_id", "user_id", "item_id", "category_id", "event_type", "label", "timestamp")
    plain = pl.struct(pl.lit(EVENT_FORMAT).alias(FORMAT), *fields).struct.json_encode()
    with_context = pl.concat_str(plain.str.head(-1), pl.lit(',"context":'), "context", pl.lit("}"))
    values = events.select(pl.when(pl.col("context").is_null()).then(plain).otherwise(with_context).alias("value"))
    encoded: list[bytes] = values["value"].cast(pl.Binary).to_list()
    return encoded


def _reader(path: Path) -> Reader:
    inner = Path(path.stem) if path.suffix.lower() in _COMPRESSED else path
    reader = _READERS.get(inner.suffix.lower())
    if reader is None or (reader is read_parquet and inner is not path):
        raise InputError(f"{path} is no event log by its name: use .csv, .tsv, .jsonl (also .gz, .zst) or .parquet")
    return reader


def require_file(path: Path) -> None:
    """Raise `InputError` unless there is a file: a log is read more than once, which a pipe cannot be."""
    if path.is_dir():
        raise InputError(f"{path} is a directory: give one file, into which all parts of the log were put")
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no file but a pipe or device: save the log to a file first")
    if not path.is_file():
        raise InputError(f"there is no file {path}: give a log's path, or a name that `coda data list` knows")


def _rules(first: Rows, options: LogOptions, where: str) -> Rules:
    return Rules(
        find_time_rule(first.columns["timestamp"], options, where),
        find_label_rule(first.columns, first.mapping.columns, options, where),
    )


def _first_reason(rejected: list[Rejected]) -> str:
    return f"line {rejected[0].line}: {rejected[0].reason}" if rejected else "it has none"


def _unsorted_line(events: pl.DataFrame, before_ms: int) -> int | None:
    earlier = events.filter(pl.col("timestamp") < pl.col("timestamp").shift(1, fill_value=before_ms))
    return int(earlier["line"][0]) if earlier.height else None
