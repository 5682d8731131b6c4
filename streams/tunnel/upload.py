"""What devices send up, turned into Kafka messages and receipts (sans-I/O).

A payload on `coda/devices/{id}/events` is one event as JSON or a JSON array of events, whose `user_id` is the
device's. Acks and training reports, match requests and presence are one report each. What does not check
out goes to the dead letters as it came, with the reason; the device is told that its events arrived either
way, because sending the same bytes again would not mend them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import msgspec

from device_sim.topics import device_of
from streams.kafka.topics import DEAD_LETTERS, EVENTS, REQUESTS, TELEMETRY
from wire.event import Event, decode_event
from wire.telemetry import Ack, MatchRequest, Presence, Training, decode_report

# Kafka takes 1 MB per message by default; half of that leaves room for any overhead. Ours.
LARGEST_BYTES = 512 << 10
_KINDS: dict[str, tuple[type, ...]] = {
    "ack": (Ack,),
    "telemetry": (Training,),
    "requests": (MatchRequest,),
    "presence": (Presence,),
}


@dataclass(frozen=True, slots=True)
class Letter:
    """One message for Kafka; `reason` and `detail` say why it is a dead letter, "" when it is not."""

    topic: str
    key: bytes
    value: bytes
    reason: str = ""
    detail: str = ""
    of_event: bool = False


@dataclass(slots=True)
class Upload:
    """What one message from a device becomes: letters for Kafka, then a receipt for these events."""

    device: str
    letters: list[Letter] = field(default_factory=list)
    event_ids: list[str] = field(default_factory=list)


class _Named(msgspec.Struct):
    event_id: str


_raws = msgspec.json.Decoder(list[msgspec.Raw])
_named = msgspec.json.Decoder(_Named)


def read_upload(topic: str, payload: bytes) -> Upload:
    """The upload in one MQTT message.

    >>> from device_sim import topics
    >>> upload = read_upload(topics.events("ann"), b'[{"event_id": "e1"}]')
    >>> upload.letters[0].topic, upload.letters[0].reason, upload.event_ids
    ('events.dlq', 'malformed', ['e1'])
    """
    device, leaf = device_of(topic)
    upload = Upload(device)
    if leaf == "events":
        _read_events(upload, payload)
    else:
        upload.letters.append(_read_report(device, leaf, payload))
    return upload


def _read_events(upload: Upload, payload: bytes) -> None:
    try:
        parts = list(_split(payload))
    except msgspec.DecodeError as error:
        upload.letters.append(_dead_event(upload.device, payload, "malformed", str(error)))
        return
    for raw in parts:
        letter, event_id = _read_event(upload.device, raw)
        upload.letters.append(letter)
        if event_id:
            upload.event_ids.append(event_id)


def _split(payload: bytes) -> Iterator[bytes]:
    if payload.lstrip()[:1] == b"[":
        yield from map(bytes, _raws.decode(payload))
    else:
        yield payload


def _read_event(device: str, raw: bytes) -> tuple[Letter, str]:
    """The letter, and the event's id where it can be made out."""
    try:
        event: Event = decode_event(raw)
    except msgspec.DecodeError as error:
        return _dead_event(device, raw, "malformed", str(error)), _event_id(raw)
    if event.user_id != device:
        return _dead_event(
            device, raw, "wrong_device", f"an event of {event.user_id} came from {device}"
        ), event.event_id
    if len(raw) > LARGEST_BYTES:
        return _dead_event(device, raw, "too_large", f"{len(raw)} bytes"), event.event_id
    return Letter(EVENTS, device.encode(), raw, of_event=True), event.event_id


def _event_id(raw: bytes) -> str:
    try:
        return _named.decode(raw).event_id
    except msgspec.DecodeError:
        return ""


def _read_report(device: str, leaf: str, payload: bytes) -> Letter:
    try:
        report = decode_report(payload)
    except msgspec.DecodeError as error:
        return _dead(device, payload, "malformed", f"{leaf}: {error}")
    if not isinstance(report, _KINDS[leaf]):
        return _dead(device, payload, "malformed", f"a report of type {type(report).__name__} on {leaf}")
    if report.user_id != device:
        return _dead(device, payload, "wrong_device", f"{leaf} of {report.user_id} came from {device}")
    return Letter(REQUESTS if leaf == "requests" else TELEMETRY, device.encode(), payload)


def _dead(device: str, raw: bytes, reason: str, detail: str) -> Letter:
    return Letter(DEAD_LETTERS, device.encode(), raw[:LARGEST_BYTES], reason, detail)


def _dead_event(device: str, raw: bytes, reason: str, detail: str) -> Letter:
    return replace(_dead(device, raw, reason, detail), of_event=True)
