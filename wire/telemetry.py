"""What devices and the tunnel report upwards (JSON): sums and counts, nothing personal."""

import msgspec


class Ack(msgspec.Struct, frozen=True, tag="ack"):
    """A device's answer to one pushed batch; outcome is `accepted`, `wrong_version` or `malformed`."""

    user_id: str
    batch_seq: int
    version: int
    outcome: str
    received_ms: int


class Training(msgspec.Struct, frozen=True, tag="training"):
    """One retraining: what it cost, as a phone would report it, and since the last one the sums of each head's log-loss
    and of what events taught about repeats (`models.repeats.pack`).
    """

    user_id: str
    version: int
    batch_seq: int
    trained_ms: int
    produced_ms: int
    compute_ms: float
    bytes_up: int
    bytes_down: int
    bytes_stored: int
    accepted: dict[str, bool]
    events: int
    head_log_loss: dict[str, float]
    evidence: bytes


class MatchRequest(msgspec.Struct, frozen=True, tag="request"):
    """A device asks for a fresh batch; reason is `connected`, `expired` or `wrong_version`."""

    user_id: str
    reason: str
    requested_ms: int


class Presence(msgspec.Struct, frozen=True, tag="presence"):
    """A device came or went; the broker sends `online=False` itself as the last will."""

    user_id: str
    online: bool


class Receipt(msgspec.Struct, frozen=True, tag="receipt"):
    """The tunnel's answer to uploaded events, once Kafka has them: the device may forget them."""

    event_ids: tuple[str, ...]


Upward = Ack | Training | MatchRequest | Presence
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Upward] = msgspec.json.Decoder(Upward)
_receipts = msgspec.json.Decoder(Receipt)


def encode_report(report: Upward | Receipt) -> bytes:
    """The report as JSON; its kind is in the field `type`."""
    return _encoder.encode(report)


def decode_report(raw: bytes) -> Upward:
    """The report in `raw`; raises `msgspec.DecodeError`."""
    return _decoder.decode(raw)


def decode_receipt(raw: bytes) -> Receipt:
    """The receipt in `raw`; raises `msgspec.DecodeError`."""
    return _receipts.decode(raw)
