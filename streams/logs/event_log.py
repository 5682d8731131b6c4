"""Event logs: CSV and other text, JSON Lines or Parquet, as checked batches of events.

Which columns are what, how times are written and what a positive is are found from the log's first rows, or said by
the user (`streams.logs.options`). All other columns are context and pass through. Malformed rows come out beside the
events, with line number and reason.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import structlog

from streams.logs.base_rule import BaseRule, find_base_rule
from streams.logs.blocks import first_sign
from streams.logs.columns import LogBatch, Rows, Rules, check_rows
from streams.logs.csv_log import read_csv
from streams.logs.event_time import TimeRule, find_time_rule, implausible
from streams.logs.json_log import read_jsonl
from streams.logs.labels import LabelRule, find_label_rule
from streams.logs.options import AS_FOUND, LogOptions, Unit
from streams.logs.parquet_log import read_parquet
from streams.logs.rejected import Rejected
from streams.logs.unmatched import unmatched, unmatched_types
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
SAME = ("user_id", "item_id", "event_type", "timestamp")  # in which an event is a duplicate
NO_POSITIVES = (
    "no event is a positive, so there is nothing to learn: say which are, with --positive (event types, 'rating>=4', "
    "all), or give a log that has some"
)

_log = structlog.get_logger()


class EventLog:
    """One log file and how it is read, found from its first rows; `str` says what was taken for what.

    Raises `InputError` for a file that is no log, has no rows or leaves open what its columns mean.
    """

    def __init__(self, path: Path, options: LogOptions = AS_FOUND):
        require_file(path)
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty: an event log has at least one event")
        self._reader = _reader(path)
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
        rules = filter(None, (f"times {self.rules.time}", self.rules.label, self.rules.base))
        return "; ".join((f"{self.path}: {self.mapping}", *map(str, rules)))

    @property
    def said(self) -> str:
        """As `LogOptions.said`."""
        return self.options.said(self.path)

    @property
    def is_uniform(self) -> bool:
        """Whether the file is as the documents have a log: all fields by their names, ms, labels of 0 and 1."""
        if self.mapping.columns.get("base", "base") != "base":
            return False
        base = self.rules.base and BaseRule(chances=False)
        uniform = Rules(TimeRule("ms", band=self.rules.time.band), LabelRule(), base)
        return self.mapping.is_documented and self.rules == uniform

    def batches(self) -> Iterator[LogBatch]:
        """The log in batches, in file order; raises `InputError` when it turns out to be damaged later on."""
        return (check_rows(rows, self.rules) for rows in self._reader(self.path, self.options))

    def unmatched(self, occurring: Iterable[str], positives: int) -> str:
        """What of `--positive` is no event of the log, "" where all of it is; reads the log again to say what there is.

        `occurring` are its events' types, `positives` how many of them are.
        """
        rule = self.rules.label
        missing = unmatched_types(rule, occurring)
        if not missing and (positives or not self.options.positive):
            return ""
        return unmatched(rule, missing, self._reader(self.path, self.options))

    def require_positive(self, occurring: Iterable[str], positives: int) -> str:
        """As `unmatched`; raises `InputError` when not one event is what `--positive` says."""
        line = self.unmatched(occurring, positives)
        if line and not positives:
            raise InputError(f"{self.path}: {line}")
        return line


@dataclass(frozen=True)
class Survey:
    """What a whole log holds: how many events and malformed rows, and from when to when (Unix ms).

    `duplicates` are events like another one of the same moment in user, item and type; of a log that is not sorted,
    those that are not far apart.
    """

    events: int
    rejected: int
    positives: int
    duplicates: int
    first_ms: int
    last_ms: int
    unsorted_line: int | None  # the first event that is earlier than the one before it
    unmatched: str  # what of --positive is no event, with what there is instead

    def notes(self, said: str) -> list[str]:
        """What is odd about it, one line each; `said` is the log as its user named it."""
        if not self.events:
            return []
        lines = [implausible(self.first_ms, self.last_ms), self.unmatched]
        if self.unsorted_line is not None:
            lines.append(
                f"not sorted by time (line {self.unsorted_line} is earlier than the event before it): sorted in memory"
            )
        if self.duplicates:
            lines.append(f"{self.duplicates:,} events are like another one of the same moment; all of them are taken")
        if self.positives == self.events:
            lines.append(only_positives(said))
        if not self.positives:
            lines.append(NO_POSITIVES)
        return [line for line in lines if line]


def read_log(path: Path, options: LogOptions = AS_FOUND) -> Iterator[LogBatch]:
    """The log in batches, in file order; raises `InputError` as `EventLog` does, before the first of them."""
    return EventLog(path, options).batches()


def sorted_log(path: Path, options: LogOptions = AS_FOUND) -> Iterator[LogBatch]:
    """The log in batches, sorted by time (rows of one moment stay in file order); needs it all in memory at once."""
    events, rejected = _in_order(list(read_log(path, options)))
    yield LogBatch(events[:_SORTED_BATCH_ROWS], rejected)
    yield from (LogBatch(part, ()) for part in events[_SORTED_BATCH_ROWS:].iter_slices(_SORTED_BATCH_ROWS))


def load_log(path: Path, options: LogOptions = AS_FOUND) -> pl.DataFrame:
    """All events of the log, sorted by time, for those who need it whole; malformed rows are told of and left out.

    Raises `InputError` as `read_log` does, and when there is not a single event, or none is what `--positive` says.
    """
    found = EventLog(path, options)
    if not found.is_uniform:
        _log.info(f"reading {found}")
    events, rejected = sorted_events(path, list(found.batches()))
    if rejected:
        _log.warning("left malformed rows out", path=str(path), rows=len(rejected), first=_first_reason(rejected))
    odd = implausible(int(events["timestamp"][0]), int(events["timestamp"][-1]))
    unmatched = found.require_positive(events["event_type"].unique(), int(events["label"].sum()))
    for line in filter(None, (odd, unmatched)):
        _log.warning(line, path=str(path))
    return events


def sorted_events(path: Path, batches: list[LogBatch]) -> tuple[pl.DataFrame, tuple[Rejected, ...]]:
    """The events of a log's batches, sorted by time, and its malformed rows; raises `InputError` without an event."""
    events, rejected = _in_order(batches)
    if not events.height:
        raise InputError(f"{path} has no event that can be read: {_first_reason(rejected)}")
    return events, rejected


def survey(path: Path, options: LogOptions = AS_FOUND) -> Survey:
    """Read the log once for its size, its span and its order.

    Raises `InputError` when it holds no row at all, or none is what `--positive` says.
    """
    log = EventLog(path, options)
    types: set[str] = set()
    events = rejected = positives = duplicates = 0
    moment = pl.DataFrame(
        schema=dict.fromkeys(SAME, pl.String) | {"timestamp": pl.Int64}
    )  # the events of the newest moment, some of which may be in the next batch
    first_ms, last_ms, before_ms = 1 << 62, -1, -1
    unsorted_line: int | None = None
    for batch in log.batches():
        rejected += len(batch.rejected)
        if not batch.events.height:
            continue
        times = batch.events["timestamp"]
        if unsorted_line is None:
            unsorted_line = _unsorted_line(batch.events, before_ms)
        same = pl.concat([moment, batch.events.select(SAME)])
        duplicates += count_duplicates(same) - count_duplicates(moment)
        moment = same.filter(pl.col("timestamp") == times[-1])
        events += len(times)
        positives += int(batch.events["label"].sum())
        types.update(batch.events["event_type"].unique())
        before_ms = times[-1]
        first_ms, last_ms = min(first_ms, int(times.min())), max(last_ms, int(times.max()))  # type: ignore[arg-type]
    return Survey(
        events=events,
        rejected=rejected,
        positives=positives,
        duplicates=duplicates,
        first_ms=first_ms if events else 0,
        last_ms=max(last_ms, 0),
        unsorted_line=unsorted_line,
        unmatched=log.require_positive(types, positives) if events else "",
    )


def count_duplicates(events: pl.DataFrame) -> int:
    """How many events are like an earlier one in the columns `SAME`; most have a moment of their own."""
    same = events.select(SAME).filter(pl.col("timestamp").is_duplicated())
    return same.height - same.unique().height


def only_positives(said: str) -> str:
    """What to do with a log that only has positives; `said` is the log as its user named it."""
    return (
        "all events are positives, from which nobody learns what is not wanted: with --negatives 2 `coda evaluate` and "
        f"`coda demo` sample negatives, and `coda data get {said} --negatives 2` makes a log that has some"
    )


def encode_events(events: pl.DataFrame) -> list[bytes]:
    """Each event as `wire.event.encode_event` would write it (an absent context is left out), all at once."""
    fields = ["event_id", "user_id", "item_id", "category_id", "event_type", "label", "timestamp"]
    if events["base"].null_count() < len(events):
        fields.append("base")
    plain = pl.struct(pl.lit(EVENT_FORMAT).alias(FORMAT), *fields).struct.json_encode()
    with_context = pl.concat_str(plain.str.head(-1), pl.lit(',"context":'), "context", pl.lit("}"))
    values = events.select(pl.when(pl.col("context").is_null()).then(plain).otherwise(with_context).alias("value"))
    encoded: list[bytes] = values["value"].cast(pl.Binary).to_list()
    return encoded


def _reader(path: Path) -> Reader:
    """What reads a file of this name; a name that says nothing leaves it to the file's first sign."""
    inner = Path(path.stem) if path.suffix.lower() in _COMPRESSED else path
    if (reader := _READERS.get(inner.suffix.lower())) is None:
        return read_jsonl if first_sign(path) in ("{", "[") else read_csv
    if reader is read_parquet and inner is not path:
        raise InputError(f"{path} is a packed Parquet file: unpack it first")
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
    promised: Unit | None = "ms" if first.mapping.is_documented else None
    said = "base" in options.columns()
    base = find_base_rule(first.columns["base"], where) if said else BaseRule(chances=False)
    return Rules(
        find_time_rule(first.columns["timestamp"], options, where, promised=promised),
        find_label_rule(first.columns, first.mapping.columns, options, where, first.context),
        base if "base" in first.mapping.columns else None,
    )


def _in_order(batches: list[LogBatch]) -> tuple[pl.DataFrame, tuple[Rejected, ...]]:
    rejected = tuple(row for batch in batches for row in batch.rejected)
    return pl.concat([batch.events for batch in batches]).sort("timestamp", maintain_order=True), rejected


def _first_reason(rejected: Sequence[Rejected]) -> str:
    return f"line {rejected[0].line}: {rejected[0].reason}" if rejected else "it has none"


def _unsorted_line(events: pl.DataFrame, before_ms: int) -> int | None:
    earlier = events.filter(pl.col("timestamp") < pl.col("timestamp").shift(1, fill_value=before_ms))
    return int(earlier["line"][0]) if earlier.height else None
