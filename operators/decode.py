"""Decode: raw Kafka messages become arrivals and requests; what cannot be read becomes a dead letter.

Nothing is dropped silently: whatever is refused travels on with its raw bytes and the reason.
"""

from collections.abc import Iterable
from typing import Protocol, Self

import msgspec

from wire.dead_letter import DeadLetter, Origin
from wire.event import Event, decode_event
from wire.ids import item_key, sample_key
from wire.malformed import Malformed
from wire.moments import SKEW_MS, EventMs, WallMs
from wire.reason import Reason
from wire.telemetry import MatchRequest, decode_report

EVENTS = "events"  # the topic that arrivals come from


class Raw(Protocol):
    """What decoding needs of a Kafka message; `timestamp_ms` is the wall clock when it was produced."""

    @property
    def topic(self) -> str: ...  # noqa: D102

    @property
    def partition(self) -> int: ...  # noqa: D102

    @property
    def offset(self) -> int: ...  # noqa: D102

    @property
    def value(self) -> bytes: ...  # noqa: D102

    @property
    def timestamp_ms(self) -> WallMs: ...  # noqa: D102


class Arrival(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=0):
    """One valid event of one user as keys; `timestamp` is event time, `produced_ms` wall clock."""

    user_id: str
    sample: int
    item: int
    category: int
    label: int
    timestamp: EventMs
    base: float | None = None
    produced_ms: WallMs
    raw: bytes
    partition: int
    offset: int

    @classmethod
    def of(cls, event: Event, produced_ms: WallMs, raw: bytes = b"", partition: int = 0, offset: int = 0) -> Self:
        """An event that was produced then; a dead letter tells its `raw` bytes, and where in `events` they lie."""
        return cls(
            user_id=event.user_id,
            sample=sample_key(event.event_id),
            item=item_key(event.item_id),
            category=item_key(event.category_id),
            label=event.label,
            timestamp=EventMs(event.timestamp),
            base=event.base,
            produced_ms=produced_ms,
            raw=raw,
            partition=partition,
            offset=offset,
        )

    def refused(self, reason: Reason, detail: str) -> DeadLetter:
        """What becomes of it when it can't be used."""
        return DeadLetter("event", reason, detail, self.raw, Origin(EVENTS, self.partition, self.offset))


class Asked(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """A device asked at `produced_ms` (wall clock) for a batch newer than `newest_seq`, for this `reason`; `ASIDE` and
    `BACK` ask for none (`wire.telemetry.MatchRequest`)."""

    user_id: str
    produced_ms: WallMs
    newest_seq: int = -1
    reason: str = ""


Arrived = Arrival | DeadLetter
Decoded = Arrived | Asked


def decode(messages: Iterable[Raw], requests: str, now_ms: WallMs) -> list[Decoded]:
    """Arrivals and, from the topic `requests`, requests, in order; `now_ms` is the wall clock.

    >>> from types import SimpleNamespace as Message
    >>> raw = b'{"format": "event/1", "event_id": 7}'
    >>> message = Message(topic="events", partition=0, offset=0, value=raw, timestamp_ms=0)
    >>> [bad] = decode([message], "requests", WallMs(0))
    >>> bad.what, str(bad.reason), bad.detail
    ('event', 'malformed', 'Expected `str`, got `int` - at `$.event_id`')
    """
    return [_asked(message) if message.topic == requests else arrival(message, now_ms) for message in messages]


def arrival(message: Raw, now_ms: WallMs) -> Arrived:
    """The event, unless it is from the future: by the clock of whoever produced it, and by the one here."""
    try:
        event = decode_event(message.value)
    except Malformed as error:
        return _refused("event", error.reason, error.detail, message)
    told_ms = max(message.timestamp_ms, now_ms)
    if event.timestamp > told_ms + SKEW_MS:
        detail = f"by {event.timestamp - told_ms} ms of the wall clock, {SKEW_MS} ms are allowed"
        return _refused("event", Reason.AHEAD, detail, message)
    return Arrival.of(event, message.timestamp_ms, message.value, message.partition, message.offset)


def _asked(message: Raw) -> Asked | DeadLetter:
    try:
        report = decode_report(message.value)
    except Malformed as error:
        return _refused("request", error.reason, error.detail, message)
    if not isinstance(report, MatchRequest):
        detail = f"a {type(report).__name__} where a match request belongs"
        return _refused("request", Reason.MALFORMED, detail, message)
    return Asked(report.user_id, message.timestamp_ms, report.newest_seq, report.reason)


def _refused(what: str, reason: Reason, detail: str, message: Raw) -> DeadLetter:
    origin = Origin(message.topic, message.partition, message.offset)
    return DeadLetter(what, reason, detail, message.value, origin)
