"""What devices and the tunnel report upwards (JSON): sums and counts, nothing personal."""

from typing import Annotated

import msgspec

from wire.decoder import FORMAT, JsonDecoder
from wire.event import Name
from wire.identity import ModelId

REPORT_BYTES = 16 << 10  # a training report has 2 kB
RECEIPT_BYTES = 1 << 20  # as many ids as one upload has events
Count = Annotated[int, msgspec.Meta(ge=0)]
Seq = Annotated[int, msgspec.Meta(ge=-1)]


class Ack(msgspec.Struct, frozen=True, tag_field=FORMAT, tag="ack/1"):
    """A device's answer to one pushed batch; outcome is `accepted`, `wrong_version` or `malformed`."""

    user_id: Name
    batch_seq: Seq
    model: ModelId
    outcome: str
    received_ms: Count


class Training(msgspec.Struct, frozen=True, tag_field=FORMAT, tag="training/1"):
    """One retraining: what it cost, as a phone would report it, and since the last one the sums of each head's log-loss
    and of what events taught about repeats (`models.repeats.pack`).
    """

    user_id: Name
    model: ModelId
    batch_seq: Seq
    trained_ms: Count
    produced_ms: Count
    compute_ms: Annotated[float, msgspec.Meta(ge=0)]
    bytes_up: Count
    bytes_down: Count
    bytes_stored: Count
    accepted: dict[str, bool]
    events: Count
    head_log_loss: dict[str, float]
    evidence: bytes


class MatchRequest(msgspec.Struct, frozen=True, tag_field=FORMAT, tag="request/1"):
    """A device asks for a fresh batch; reason is `connected`, `expired` or `wrong_version`."""

    user_id: Name
    reason: str
    requested_ms: Count


class Presence(msgspec.Struct, frozen=True, tag_field=FORMAT, tag="presence/1"):
    """A device came or went; the broker sends `online=False` itself as the last will."""

    user_id: Name
    online: bool


class Receipt(msgspec.Struct, frozen=True, tag_field=FORMAT, tag="receipt/1"):
    """The tunnel's answer to uploaded events, once Kafka has them: the device may forget them."""

    event_ids: tuple[Name, ...]


Upward = Ack | Training | MatchRequest | Presence
_encoder = msgspec.json.Encoder()
_decoder = JsonDecoder[Upward]("report", Upward, REPORT_BYTES)
_receipts = JsonDecoder[Receipt]("receipt", Receipt, RECEIPT_BYTES)


def encode_report(report: Upward | Receipt) -> bytes:
    """The report as JSON; its kind is in the field `format`."""
    return _encoder.encode(report)


def decode_report(raw: bytes) -> Upward:
    """The report in `raw`; raises `Malformed`."""
    return _decoder(raw)


def decode_receipt(raw: bytes) -> Receipt:
    """The receipt in `raw`; raises `Malformed`."""
    return _receipts(raw)
