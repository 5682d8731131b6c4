"""One sample as it travels on Kafka `samples` (MessagePack, without vectors: whoever reads it encodes it with the
cloud model it has, so that versions never mix)."""

import msgspec

HISTORY_LEN = 30  # positives a sample remembers


class SampleRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One sample on Kafka `samples`; histories are little-endian uint32, padding cut off."""

    sample: int
    user: int
    item: int
    category: int
    label: int
    times: int
    timestamp: int
    produced_ms: int
    history_item: bytes
    history_category: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SampleRecord)


def encode_record(record: SampleRecord) -> bytes:
    """One sample as one `samples` message."""
    return _encoder.encode(record)


def decode_record(raw: bytes) -> SampleRecord:
    """The sample in one `samples` message; raises `msgspec.DecodeError` on a malformed one."""
    return _decoder.decode(raw)
