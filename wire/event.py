"""The event: one user behaviour, as it travels on Kafka `events` and up from devices (JSON)."""

from typing import Annotated, Any, Literal

import msgspec

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
# Year 9999 in Unix ms: beyond it a timestamp is in the wrong unit.
TimestampMs = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999)]


class Event(msgspec.Struct, frozen=True, gc=False):
    """One user behaviour; `timestamp` is event time in Unix ms, `context` passes through untouched."""

    event_id: Name
    user_id: Name
    item_id: Name
    category_id: Name
    event_type: Name
    label: Literal[0, 1]
    timestamp: TimestampMs
    context: dict[str, Any] | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)


def encode_event(event: Event) -> bytes:
    """The event as JSON."""
    return _encoder.encode(event)


def decode_event(raw: bytes) -> Event:
    """The event in `raw`; raises `msgspec.DecodeError` (malformed or mistyped), whose text names the field."""
    return _decoder.decode(raw)
