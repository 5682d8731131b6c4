"""The candidate batch as it goes down to a device, on Kafka and MQTT: MessagePack around compressed columns.

A candidate takes 12 bytes, a matched one 13: 8 of keys and one each for logit, age, times and label, and similarity
(`wire.grid`). With the defaults these are 40 kB. Zstandard makes 14 to 18 of them: popular items come back, and their
keys with them. Each batch stands alone, for a device may have missed the ones before.
"""

from typing import Annotated

import msgspec
import numpy as np
import pyarrow as pa

from wire.arrays import U8
from wire.candidates import CandidateBatch, Candidates
from wire.decoder import PackedDecoder
from wire.event import Name, TimestampMs
from wire.grid import LOGITS, SIMILARITIES, decode_ages, encode_ages, unreadable
from wire.identity import ModelId
from wire.malformed import Malformed
from wire.push_headers import BATCH_BYTES, FORMAT
from wire.reason import Reason

MOST_CANDIDATES = 1 << 16  # matched and random ones; the default is 3,200
_KEYS = np.dtype([("item", "<u4"), ("category", "<u4")])
_BYTES_EACH = _KEYS.itemsize + 4
# 1 makes a tenth more bytes in as much time, 3 as many in a fifth more. Without dictionaries and threads every machine
# makes the same bytes.
_zstd = pa.Codec("zstd", compression_level=2)

Wall = Annotated[int, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_CANDIDATES)]


class PackedBatch(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=FORMAT):
    """A batch as it travels, its fields as in `CandidateBatch`: so a device keeps it, in a third of the memory."""

    user_id: Name
    batch_seq: Annotated[int, msgspec.Meta(ge=0)]
    model: ModelId
    query_timestamp: TimestampMs
    produced_ms: Wall
    matched_ms: Wall
    matched: Count
    random: Count
    columns: bytes

    def unpacked(self) -> CandidateBatch:
        """The batch; raises `Malformed` when its numbers can't be trained on."""
        try:
            every, similarity = _unpack(self.columns, self.matched, self.random)
        except ValueError as error:
            raise Malformed("batch", Reason.MALFORMED, str(error)) from None
        return CandidateBatch(
            **{name: getattr(self, name) for name in _SCALARS},
            matched=every.take(slice(self.matched)),
            similarity=SIMILARITIES.decode(similarity),
            random=every.take(slice(self.matched, None)),
        )


def _fits(batch: PackedBatch) -> str:
    return "" if batch.matched + batch.random <= MOST_CANDIDATES else f"more than {MOST_CANDIDATES} candidates"


_encoder = msgspec.msgpack.Encoder()
_decoder = PackedDecoder[PackedBatch]("batch", PackedBatch, BATCH_BYTES, check=_fits)
_SCALARS = PackedBatch.__struct_fields__[:6]


def packed(batch: CandidateBatch) -> PackedBatch:
    """The batch as it travels: its numbers rounded as `wire.grid` says, all else exactly; the same bytes everywhere."""
    every = Candidates.concat([batch.matched, batch.random])
    keys = np.empty(len(every), _KEYS)
    for name in _KEYS.names or ():
        keys[name] = getattr(every, name)
    columns = (
        keys,
        LOGITS.encode(every.logit),
        encode_ages(every.age_s),
        every.times,
        every.label,
        SIMILARITIES.encode(batch.similarity),
    )
    raw = b"".join(column.tobytes() for column in columns)
    scalars = {name: getattr(batch, name) for name in _SCALARS}
    return PackedBatch(**scalars, matched=len(batch.matched), random=len(batch.random), columns=zipped(raw))


def columns_size(matched: int, random: int) -> int:
    """How many bytes the columns of so many candidates are."""
    return (matched + random) * _BYTES_EACH + matched


def zipped(columns: bytes | U8) -> bytes:
    """The bytes of a batch's columns as they travel."""
    compressed: bytes = _zstd.compress(columns, asbytes=True)
    return compressed


def encode_packed(batch: PackedBatch) -> bytes:
    """The bytes of a batch."""
    return _encoder.encode(batch)


def decode_packed(raw: bytes) -> PackedBatch:
    """The batch in `raw`, packed yet; raises `Malformed` when it is no batch. What it holds, `unpacked` finds out."""
    return _decoder(raw)


def encode_batch(batch: CandidateBatch) -> bytes:
    """The batch as it travels: `packed`, in bytes."""
    return encode_packed(packed(batch))


def decode_batch(raw: bytes) -> CandidateBatch:
    """The batch in `raw`; raises `Malformed` when it is no batch or its numbers can't be trained on."""
    return _decoder(raw).unpacked()


def _unpack(packed: bytes, matched: int, random: int) -> tuple[Candidates, U8]:
    """All candidates, and the bytes of the similarities; raises `ValueError`."""
    n = matched + random
    columns = np.frombuffer(_unzipped(packed, columns_size(matched, random)), np.uint8)
    pairs, logit, age, times, label, similarity = np.split(columns, n * (_KEYS.itemsize + np.arange(5)))
    keys = {name: np.ascontiguousarray(pairs.view(_KEYS)[name]) for name in _KEYS.names or ()}
    if unreadable(logit).any() or unreadable(similarity).any():
        raise ValueError("a logit or a similarity that is not finite")
    if not (label <= 1).all() or not all(key.all() for key in keys.values()):
        raise ValueError("a label that is neither 0 nor 1, or an item or category without a key")
    return Candidates(LOGITS.decode(logit), **keys, label=label, times=times, age_s=decode_ages(age)), similarity


def _unzipped(packed: bytes, size: int) -> bytes:
    """The `size` bytes that were compressed; raises `ValueError`. There is room for no more, whatever they promise."""
    try:
        raw: bytes = _zstd.decompress(packed, decompressed_size=size, asbytes=True)
    except OSError:
        raise ValueError(f"its columns are not the {size} bytes of so many candidates") from None
    return raw
