"""What is replayed: an event log, or a topic that already holds events, as batches ready to be sent."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
import structlog
from xxhash import xxh3_64

from streams.bus import Bus, Message, Partition
from streams.logs.event_log import EventLog, LogBatch, Rejected, encode_events, read_log, sorted_log, survey
from streams.logs.options import AS_FOUND, LogOptions
from streams.replay.state import Position
from streams.times import moment
from wire.arrays import I64
from wire.errors import InputError
from wire.event import Event, decode_event
from wire.malformed import Malformed

_TOPIC_BATCH = 5000
_READ_BYTES = 1 << 20

_log = structlog.get_logger()


@dataclass(frozen=True)
class Range:
    """From one moment up to, not including, another, in Unix ms."""

    from_ms: int = 0
    until_ms: int = 1 << 62

    def __post_init__(self) -> None:
        if self.from_ms >= self.until_ms:
            raise InputError("--from must be before --until")


@dataclass(frozen=True)
class Batch:
    """Events as they go to Kafka, in order, and the rows beside them that are none.

    `positions[i]` is where the source stands when the first `i` events and all `rejected` are sent.
    """

    ids: list[str]
    keys: list[bytes]
    values: list[bytes]
    timestamps: I64
    positions: "Positions"
    rejected: tuple[Rejected, ...] = ()


class Positions(Protocol):
    """Where the source stands after the first so many events of a batch."""

    def __getitem__(self, events: int) -> Position:
        """The position, as a state file keeps it."""


@dataclass(frozen=True)
class Span:
    """What there is to replay, as far as it is known beforehand."""

    events: int
    first_ms: int
    last_ms: int


class Source(Protocol):
    """Something to replay."""

    @property
    def identity(self) -> dict[str, str]:
        """What must be equal for a saved position to mean the same."""

    @property
    def span(self) -> Span:
        """How much there is."""

    @property
    def notes(self) -> list[str]:
        """What a user should know of it before it is sent."""

    def batches(self, start: Position) -> Iterator[Batch]:
        """The batches after `start` ({}: from the beginning)."""


@dataclass(frozen=True)
class _LogPositions:
    events: int
    rejected: int

    def __getitem__(self, events: int) -> Position:
        return {"events": self.events + events, "rejected": self.rejected}


class LogSource:
    """An event log file, sorted in memory where it is not. Raises `InputError` for a log that can't be replayed."""

    def __init__(self, path: Path, within: Range, *, options: LogOptions = AS_FOUND):
        self._within = within
        found = survey(path, options)
        self._sorted = found.unsorted_line is None
        self._read = partial(read_log if self._sorted else sorted_log, path, options)
        self.identity = {
            "log": _fingerprint(path),
            "range": f"{within.from_ms}-{within.until_ms}",
            "order": "as it is" if self._sorted else "sorted in memory",
            "columns": " ".join(options.flags()),
        }
        log = EventLog(path, options)
        self.notes = [str(log), *found.notes(log.said)]
        ranged = within != Range()
        count = sum(len(batch.events) for batch in self._in_range()) if ranged else found.events
        if found.events and not count:
            raise InputError(
                f"no event of {path} lies between --from and --until: "
                f"its events are from {moment(found.first_ms)} to {moment(found.last_ms)}"
            )
        self.span = Span(count, max(found.first_ms, within.from_ms), min(found.last_ms, within.until_ms))

    def batches(self, start: Position) -> Iterator[Batch]:
        """Read on after `start`: the first so many events and rejected rows are left out."""
        events, rejected = 0, 0
        for batch in self._in_range():
            skip = min(max(start.get("events", 0) - events, 0), batch.events.height)
            skip_rejected = min(max(start.get("rejected", 0) - rejected, 0), len(batch.rejected))
            rejected += len(batch.rejected)
            part = batch.events[skip:]
            if part.height or skip_rejected < len(batch.rejected):
                positions = _LogPositions(events + skip, rejected)
                yield _encoded(part, batch.rejected[skip_rejected:], positions)
            events += batch.events.height

    def _in_range(self) -> Iterator[LogBatch]:
        """The part of the log in the range. A malformed row has no time: it takes that of the event before it."""
        before_ms: int | None = None
        for batch in self._read():
            times = batch.events["timestamp"].to_numpy()
            inside = (times >= self._within.from_ms) & (times < self._within.until_ms)
            rejected = batch.rejected
            if self._sorted:
                rejected = tuple(
                    row for row, ms in zip(rejected, _times(batch, before_ms), strict=True) if self._has(ms)
                )
            yield LogBatch(batch.events.filter(pl.Series(inside)), rejected)
            before_ms = int(times[-1]) if len(times) else before_ms
            if self._sorted and before_ms is not None and before_ms >= self._within.until_ms:
                return

    def _has(self, moment_ms: int | None) -> bool:
        """A row before the first event of all belongs to every range: nobody knows better."""
        return moment_ms is None or self._within.from_ms <= moment_ms < self._within.until_ms


def _times(batch: LogBatch, before_ms: int | None) -> list[int | None]:
    """For each malformed row the time of the event before it, else of the first; `before_ms`: of the batch before."""
    times = batch.events["timestamp"].to_list()
    at = np.searchsorted(batch.events["line"].to_numpy(), [row.line for row in batch.rejected]) - 1
    start_ms = times[0] if before_ms is None and times else before_ms
    return [times[number] if number >= 0 else start_ms for number in at]


@dataclass(frozen=True)
class _TopicPositions:
    start: Position
    messages: list[Message] = field(repr=False)
    events: list[int] = field(repr=False)  # which of the messages are events

    def __getitem__(self, events: int) -> Position:
        end = self.events[events] if events < len(self.events) else len(self.messages)
        return self.start | {str(message.partition): message.offset + 1 for message in self.messages[:end]}


class TopicSource:
    """A topic that holds events; the range is in produce time (wall clock), as Kafka's own index of times is."""

    def __init__(self, bus: Bus, topic: str, within: Range):
        self._bus = bus
        self._topic = topic
        self._between = self._bounds(within)
        home = bus.home([topic])
        self.identity = {
            "log": f"{home.cluster}/{topic}/{home.topics.get(topic, '')}",
            "range": f"{within.from_ms}-{within.until_ms}",
            "order": "as it is",
        }
        events = sum(end - first for first, end in self._between.values())
        self.span = Span(events, 0, 0)
        self.notes: list[str] = []

    def batches(self, start: Position) -> Iterator[Batch]:
        """Read on after `start`, up to where the topic ended when the replay began; raises `InputError`."""
        self._check(start)
        between = {p: (max(first, start.get(str(p[1]), 0)), end) for p, (first, end) in self._between.items()}
        position = {str(partition[1]): first for partition, (first, _) in between.items()}
        waiting: list[Message] = []
        for message in self._bus.read("coda-replay", between):
            waiting.append(message)
            if len(waiting) == _TOPIC_BATCH:
                batch = _decoded(waiting, position)
                yield batch
                position, waiting = batch.positions[len(batch.ids)], []
        if waiting:
            yield _decoded(waiting, position)

    def _check(self, start: Position) -> None:
        """Say so where it can't go on, as what comes next was dropped meanwhile."""
        for (topic, number), (first, _) in self._between.items():
            if (offset := start.get(str(number), first)) < first:
                raise InputError(
                    f"the replay would go on at offset {offset} of {topic}[{number}], but {self._bus.name} has it from "
                    f"{first} on: what lies between is gone; --fresh begins anew with what is there"
                )

    def _bounds(self, within: Range) -> dict[Partition, tuple[int, int]]:
        found = self._bus.bounds(self._topic)
        if not found:
            raise InputError(f"{self._bus.name} has no topic {self._topic}")
        written = self._bus.bounds(self._topic, uncommitted=True)
        if open_ones := sum(end for _, end in written.values()) - sum(end for _, end in found.values()):
            _log.warning(
                f"left out the last {open_ones:,} messages of {self._topic}: a transaction is not finished yet"
            )
        first = self._bus.offsets_at(self._topic, within.from_ms) if within.from_ms else {}
        last = self._bus.offsets_at(self._topic, within.until_ms) if within.until_ms < 1 << 62 else {}
        return {p: (max(low, first.get(p, low)), min(end, last.get(p, end))) for p, (low, end) in found.items()}


def _encoded(events: pl.DataFrame, rejected: tuple[Rejected, ...], positions: Positions) -> Batch:
    return Batch(
        ids=events["event_id"].to_list(),
        keys=events["user_id"].cast(pl.Binary).to_list(),
        values=encode_events(events),
        timestamps=events["timestamp"].to_numpy(),
        positions=positions,
        rejected=rejected,
    )


def _decoded(messages: list[Message], start: Position) -> Batch:
    """Messages as they were, with those that are no events set apart."""
    good: list[Event] = []
    at: list[int] = []
    rejected: list[Rejected] = []
    for number, message in enumerate(messages):
        try:
            good.append(decode_event(message.value))
            at.append(number)
        except Malformed as error:
            rejected.append(Rejected.of(message.offset, f"partition {message.partition}: {error}", message.value))
    return Batch(
        ids=[event.event_id for event in good],
        keys=[event.user_id.encode() for event in good],
        values=[messages[number].value for number in at],
        timestamps=np.array([event.timestamp for event in good], np.int64),
        positions=_TopicPositions(start, messages, at),
        rejected=tuple(rejected),
    )


def _fingerprint(path: Path) -> str:
    """The log's content, so that a log that was moved resumes and one that was changed does not."""
    digest = xxh3_64()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return f"{path.name}-{digest.hexdigest()}"
