"""The event: one user behaviour, as it travels on Kafka `events` and up from devices (JSON)."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec

from wire.decoder import FORMAT, JsonDecoder, check_depth, one_line
from wire.malformed import Malformed
from wire.reason import Reason

NAME_CHARACTERS = 256
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARACTERS)]
# Year 9999 in Unix ms: beyond it a timestamp is in the wrong unit.
TimestampMs = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999)]
MOST_LOG_ODDS = 30  # either way: e^30 to 1 is more than a model can know, and float16 holds it
LogOdds = Annotated[float, msgspec.Meta(ge=-MOST_LOG_ODDS, le=MOST_LOG_ODDS)]
EVENT_BYTES = 64 << 10  # names take 5 · 256 · 4 B at most; the rest is left for the context
EVENT_FORMAT = "event/1"
UPLOAD_BYTES = 512 << 10  # several events in one MQTT message: half of what Kafka takes by default


class Event(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field=FORMAT, tag=EVENT_FORMAT):
    """One user behaviour; `timestamp` is event time in Unix ms, `context` passes through untouched.

    `base` is what the service's own model expected of it just before, if it has one: personal models add to that.
    """

    event_id: Name
    user_id: Name
    item_id: Name
    category_id: Name
    event_type: Name
    label: Literal[0, 1]
    timestamp: TimestampMs
    context: dict[str, Any] | None = None
    base: LogOdds | None = None


class _OfContext(msgspec.Struct):
    context: dict[str, Any] | None = None


_encoder = msgspec.json.Encoder()
_decoder = JsonDecoder[Event]("event", Event, EVENT_BYTES)
_of_context = msgspec.json.Decoder(_OfContext)
_several = msgspec.json.Decoder(list[msgspec.Raw])


def encode_event(event: Event) -> bytes:
    """The event as JSON."""
    return _encoder.encode(event)


def decode_event(raw: bytes) -> Event:
    """The event in `raw`; raises `Malformed`, whose detail names the field."""
    return _decoder(raw)


def decode_context(raw: bytes) -> dict[str, Any] | None:
    """The context of the event in `raw`, which decodes."""
    return _of_context.decode(raw).context


def with_base(raw: bytes, base: float) -> bytes:
    """The event in `raw`, which decodes and has no base, with this one: all else stays as it was written.

    >>> with_base(b'{"event_id": "e", "price": 0.10}', -1.5)
    b'{"event_id": "e", "price": 0.10,"base":-1.5}'
    """
    return b'%b,"base":%b}' % (raw.rstrip()[:-1], _encoder.encode(base))


def split_upload(raw: bytes) -> Iterator[bytes]:
    """The events of one upload, each as its own bytes: one JSON object or an array of them; raises `Malformed`."""
    if len(raw) > UPLOAD_BYTES:
        raise Malformed("event", Reason.TOO_LARGE, f"{len(raw)} bytes in one upload, at most {UPLOAD_BYTES}")
    check_depth(raw, "event")
    if raw.lstrip()[:1] != b"[":
        yield raw
        return
    try:
        yield from map(bytes, _several.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed("event", Reason.MALFORMED, one_line(str(error))) from None
