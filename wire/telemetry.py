"""What devices and the tunnel report upwards (JSON): sums and counts, nothing personal."""

from typing import Annotated

import msgspec

from wire.decoder import FORMAT, JsonDecoder
from wire.event import Name
from wire.identity import ModelId
from wire.outcome import Batches, Trainings

REPORT_BYTES = 16 << 10  # a training report has 2 kB
RECEIPT_BYTES = 1 << 20  # as many ids as one upload has events
Count = Annotated[int, msgspec.Meta(ge=0)]
Seq = Annotated[int, msgspec.Meta(ge=-1)]
MOST_SEQ = 1 << 53  # the cloud counts on from what a device says: batches and their headers have room for this


class Standing(msgspec.Struct, frozen=True):
    """What every report says: counts since a device's life `boot` began, so that a lost report is made up for by the
    next, and one that comes twice changes nothing. Of a life, the highest `sequence` is the newest; of lives, the
    highest `boot`. `answered_seq` is the newest batch that the device answered for, -1 before the first.
    """

    user_id: Name
    boot: Count
    sequence: Count
    answered_seq: Seq
    batches: dict[Batches, Count]

    @property
    def answers(self) -> set[int]:
        """The batches that this answers for."""
        return {self.answered_seq}


class Ack(Standing, frozen=True, tag_field=FORMAT, tag="ack/2"):
    """A device's answer to one pushed batch; `batch_seq` is -1 and `model` nobody's when it could not be read."""

    batch_seq: Seq
    model: ModelId
    outcome: Batches
    received_ms: Count

    @property
    def answers(self) -> set[int]:
        """The batches that this answers for."""
        return {self.answered_seq, self.batch_seq}


class Gain(msgspec.Struct, frozen=True):
    """What personal heads gained (`models.gain`): over so many events, in nats, and the sum of the squares."""

    events: Count = 0
    nats: float = 0.0
    squares: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Training(Standing, frozen=True, tag_field=FORMAT, tag="training/4"):
    """All that a device did in its life, as a phone would report it after a training and when its link is back.

    Sums and counts since its life began: bytes moved, trainings by outcome and what they cost, how often each head
    passed its test, events predicted, each head's log-loss over them (nats), what heads gained, and what events
    taught (`models.evidence.pack`). As of now: `model` in use, newest batch trained on (-1: none), bytes stored.
    """

    model: ModelId
    trained_seq: Seq
    reported_ms: Count
    bytes_up: Count
    bytes_down: Count
    bytes_stored: Count
    trainings: dict[Trainings, Count]
    compute_ms: Annotated[float, msgspec.Meta(ge=0)]
    passed: dict[str, Count]
    events: Count
    head_log_loss: dict[str, float]
    gain: Gain
    evidence: bytes


class MatchRequest(msgspec.Struct, frozen=True, tag_field=FORMAT, tag="request/3"):
    """A device asks for a batch newer than `newest_seq`, -1 if it had none, or says which batches it wants.

    Reason is `connected`, `expired`, `wrong_model`, `probe` or `canary`; or `ASIDE`: no batch from now on; or `BACK`:
    none at once, and from now on those that are due.
    """

    user_id: Name
    reason: str
    newest_seq: Annotated[Seq, msgspec.Meta(lt=MOST_SEQ)]


ASIDE, BACK = "aside", "back"


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
