"""One sample as it travels on Kafka `samples` (MessagePack, without vectors: whoever reads it encodes it with the
cloud model it has, so that versions never mix)."""

from typing import Annotated

import msgspec

from wire.decoder import PackedDecoder
from wire.event import LogOdds, TimestampMs

HISTORY_LEN = 30  # positives a sample remembers
KEY_BYTES = 4  # an item or category key is a little-endian uint32
SAMPLE_BYTES = 1 << 10  # two histories of 120 B and ten numbers

Key = Annotated[int, msgspec.Meta(ge=1, lt=1 << 32)]
Unsigned64 = Annotated[int, msgspec.Meta(ge=0)]  # MessagePack has no larger ones
History = Annotated[bytes, msgspec.Meta(max_length=HISTORY_LEN * KEY_BYTES)]


class SampleRecord(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="sample/2"):
    """One sample on Kafka `samples`; histories are little-endian uint32, newest first, padding cut off; `base` as in
    `wire.event.Event`."""

    sample: Unsigned64
    user: Unsigned64
    item: Key
    category: Key
    label: Annotated[int, msgspec.Meta(ge=0, le=1)]
    times: Annotated[int, msgspec.Meta(ge=0, le=255)]
    timestamp: TimestampMs
    produced_ms: Annotated[int, msgspec.Meta(ge=0)]
    history_item: History
    history_category: History
    base: LogOdds | None = None


def _check(record: SampleRecord) -> str:
    if len(record.history_item) != len(record.history_category) or len(record.history_item) % KEY_BYTES:
        return f"histories of {len(record.history_item)} and {len(record.history_category)} bytes"
    if record.produced_ms >= 1 << 63:
        return f"a produce time of {record.produced_ms}"
    return ""


_encoder = msgspec.msgpack.Encoder()
_decoder = PackedDecoder[SampleRecord]("sample", SampleRecord, SAMPLE_BYTES, check=_check)


def encode_record(record: SampleRecord) -> bytes:
    """One sample as one `samples` message."""
    return _encoder.encode(record)


def decode_record(raw: bytes) -> SampleRecord:
    """The sample in one `samples` message; raises `Malformed`."""
    return _decoder(raw)
