"""What devices send up, turned into Kafka messages and receipts (sans-I/O).

A payload on `coda/devices/{id}/events` is one event as JSON or a JSON array of events, whose `user_id` is the
device's. Acks and training reports, match requests and presence are one report each. What does not check
out goes to the dead letters as it came, with the reason; the device is told that its events arrived either
way, because sending the same bytes again would not mend them.
"""

from dataclasses import dataclass, field

import msgspec

from device_sim.topics import device_of
from streams.kafka.topics import EVENTS, REQUESTS, TELEMETRY
from wire.dead_letter import DeadLetter, Origin
from wire.event import Event, decode_event, split_upload
from wire.malformed import Malformed
from wire.reason import Reason
from wire.telemetry import Ack, MatchRequest, Presence, Training, Upward, decode_report

_KINDS: dict[str, tuple[type, ...]] = {
    "ack": (Ack,),
    "telemetry": (Training,),
    "requests": (MatchRequest,),
    "presence": (Presence,),
}
_WHAT = {"events": "event", "requests": "request"}  # of others a message is called as its topic


@dataclass(frozen=True, slots=True)
class Letter:
    """One message for Kafka."""

    topic: str
    key: bytes
    value: bytes


@dataclass(slots=True)
class Upload:
    """What one message from a device becomes: letters for Kafka, dead ones, and then a receipt for these events.

    `came`: with it the device said that it is online. `over_rate`: it was more than the device may send.
    """

    device: str
    came: bool = False
    over_rate: bool = False
    letters: list[Letter] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    event_ids: list[str] = field(default_factory=list)


class _Named(msgspec.Struct):
    event_id: str


_ID_CHARS = 256  # of users and events, as in wire.event: a receipt stays small, and its topic within MQTT's 64 KiB
_named = msgspec.json.Decoder(_Named)


def read_upload(topic: str, payload: bytes) -> Upload:
    """The upload in one MQTT message.

    >>> from device_sim import topics
    >>> upload = read_upload(topics.events("ann"), b'[{"event_id": "e1"}]')
    >>> upload.letters, str(upload.dead[0].reason), upload.event_ids
    ([], 'unknown_format', ['e1'])
    """
    device, leaf = device_of(topic)
    what = _WHAT.get(leaf, leaf)
    upload, origin = Upload(device), Origin(topic)
    if not 0 < len(device) <= _ID_CHARS:  # nobody to send a receipt to
        detail = f"a device's name of {len(device)} characters, not of 1 to {_ID_CHARS}"
        upload.dead.append(DeadLetter(what, Reason.WRONG_DEVICE, detail, payload, Origin(topic[:_ID_CHARS])))
        return upload
    if leaf == "events":
        _read_events(upload, payload, origin)
        return upload
    try:
        report = _report(payload, leaf)
        _check(report, device)
        upload.came = isinstance(report, Presence) and report.online
        upload.letters.append(Letter(REQUESTS if leaf == "requests" else TELEMETRY, device.encode(), payload))
    except Malformed as error:
        upload.dead.append(DeadLetter(what, error.reason, error.detail, payload, origin))
    return upload


def _read_events(upload: Upload, payload: bytes, origin: Origin) -> None:
    raw = payload
    try:
        for raw in split_upload(payload):
            _read_event(upload, raw, origin)
    except Malformed as error:  # of the whole upload: nothing of it can be told apart
        upload.dead.append(DeadLetter("event", error.reason, error.detail, raw, origin))


def _read_event(upload: Upload, raw: bytes, origin: Origin) -> None:
    try:
        event = decode_event(raw)
        _check(event, upload.device)
        upload.letters.append(Letter(EVENTS, upload.device.encode(), raw))
        upload.event_ids.append(event.event_id)
    except Malformed as error:
        upload.dead.append(DeadLetter("event", error.reason, error.detail, raw, origin))
        event_id = _event_id(raw)
        if event_id:
            upload.event_ids.append(event_id)


def _check(message: Event | Upward, device: str) -> None:
    if message.user_id != device:
        kind = type(message).__name__.lower()
        raise Malformed(kind, Reason.WRONG_DEVICE, f"of {message.user_id!r}, and came from {device!r}")


def _report(payload: bytes, leaf: str) -> Upward:
    report = decode_report(payload)
    if not isinstance(report, _KINDS[leaf]):
        detail = f"a report of type {type(report).__name__} on {leaf}"
        raise Malformed(leaf, Reason.MALFORMED, detail)
    return report


def _event_id(raw: bytes) -> str:
    """The id of what is no event, so that its device hears that it arrived; "" where it can't be made out."""
    try:
        event_id = _named.decode(raw).event_id
        return event_id if len(event_id) <= _ID_CHARS else ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
