"""Decode: raw Kafka messages become arrivals and requests; what cannot be read becomes a dead letter.

Nothing is dropped silently: whatever is refused travels on with its raw bytes and the reason.
"""

from collections.abc import Callable, Iterable
from typing import Protocol, Self

import msgspec

from wire.event import Event, decode_event
from wire.ids import item_key, sample_key
from wire.moments import SKEW_MS, EventMs, WallMs
from wire.telemetry import MatchRequest, decode_report


class Raw(Protocol):
    """What decoding needs of a Kafka message; `timestamp_ms` is the wall clock when it was produced."""

    @property
    def topic(self) -> str: ...  # noqa: D102

    @property
    def partition(self) -> int: ...  # noqa: D102

    @property
    def value(self) -> bytes: ...  # noqa: D102

    @property
    def timestamp_ms(self) -> WallMs: ...  # noqa: D102


class Arrival(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One valid event of one user as keys; `timestamp` is event time, `produced_ms` wall clock."""

    user_id: str
    sample: int
    item: int
    category: int
    label: int
    timestamp: EventMs
    produced_ms: WallMs
    raw: bytes

    @classmethod
    def of(cls, event: Event, produced_ms: WallMs, raw: bytes = b"") -> Self:
        """An event that was produced then; without `raw` its bytes can't be told in a dead letter."""
        return cls(
            event.user_id,
            sample_key(event.event_id),
            item_key(event.item_id),
            item_key(event.category_id),
            event.label,
            EventMs(event.timestamp),
            produced_ms,
            raw,
        )


class Asked(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A device asked for a fresh batch at `produced_ms` (wall clock)."""

    user_id: str
    produced_ms: WallMs


class Rejected(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was refused: the raw bytes and a one-line reason, of which `kind` is the part that is counted.

    Requests that are refused are of kind `REQUEST`; all others are events, those of kind `AHEAD` from the future.
    """

    kind: str
    reason: str
    raw: bytes


REQUEST, AHEAD = "request", "ahead"
Decoded = Arrival | Asked | Rejected


def decode(messages: Iterable[Raw], requests: str, now_ms: WallMs) -> list[Decoded]:
    """Arrivals and, from the topic `requests`, requests, in order; `now_ms` is the wall clock.

    >>> from types import SimpleNamespace as Message
    >>> [bad] = decode([Message(topic="events", value=b'{"event_id": 7}', timestamp_ms=0)], "requests", WallMs(0))
    >>> bad.kind, bad.reason
    ('malformed', 'Expected `str`, got `int` - at `$.event_id`')
    """
    return [_decode(_asked if message.topic == requests else _arrival, message, now_ms) for message in messages]


def _decode(read: Callable[[Raw, WallMs], Decoded], message: Raw, now_ms: WallMs) -> Decoded:
    try:
        return read(message, now_ms)
    except msgspec.ValidationError as error:
        reason = str(error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = f"not JSON: {error}"
    return Rejected(REQUEST if read is _asked else "malformed", reason, message.value)


def _arrival(message: Raw, now_ms: WallMs) -> Decoded:
    """The event, unless it is from the future: by the clock of whoever produced it, and by the one here."""
    event = decode_event(message.value)
    told_ms = max(message.timestamp_ms, now_ms)
    if event.timestamp > told_ms + SKEW_MS:
        reason = f"{AHEAD}: by {event.timestamp - told_ms} ms of the wall clock, {SKEW_MS} ms are allowed"
        return Rejected(AHEAD, reason, message.value)
    return Arrival.of(event, message.timestamp_ms, message.value)


def _asked(message: Raw, _now_ms: WallMs) -> Decoded:
    report = decode_report(message.value)
    if not isinstance(report, MatchRequest):
        return Rejected(REQUEST, f"a {type(report).__name__} where a match request belongs", message.value)
    return Asked(report.user_id, message.timestamp_ms)
