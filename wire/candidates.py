"""The candidate batch: what one match sends down to one device (MessagePack on Kafka and MQTT).

A candidate is 2 (logit, float16) + 4 + 4 + 1 + 1 + 4 = 16 bytes, a matched one with its similarity 18, and says
nothing about who it came from. Not the 64 bytes of the other user's interest vector: a device adds to what the cloud
model expects of a sample, so that number is all it needs, and a push has room for five times as many. 1,600 matched and
1,600 random ones are 1,600 · (18 + 16) = 54 kB, under the 60 kB that a push may cost.
"""

from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np

from wire.arrays import F16, U8, U32
from wire.columns import Columns
from wire.decoder import PackedDecoder
from wire.event import Name, TimestampMs
from wire.identity import ModelId
from wire.malformed import Malformed
from wire.reason import Reason

BATCH_BYTES = 1 << 20  # 54 kB with the defaults; room for twenty times as many candidates


@dataclass(frozen=True, slots=True)
class Candidates(Columns):
    """n samples of other users in columns: what the cloud model expects of each, its keys and label, how many positives
    of the item its user had before (`SampleBlock.times`), and its age in event time at the query, in seconds."""

    logit: F16
    item: U32
    category: U32
    label: U8
    times: U8
    age_s: U32


@dataclass(frozen=True, slots=True)
class CandidateBatch:
    """One match's result for one device.

    `batch_seq` counts up per device, the newest wins; `model` is the cloud model that encoded it.
    Event time: `query_timestamp`. Wall clock (ms): `produced_ms` of the event that triggered the match,
    `matched_ms` when the search was done. `matched` is the coarse-grained retrieval, `random` as many random samples
    of the pool (none with `coda flow --no-random`): all arms but cloud and local learn from these too. `similarity`
    (matched,) is that of each matched sample's match key to the user's, −1 to 1.
    """

    user_id: str
    batch_seq: int
    model: ModelId
    query_timestamp: int
    produced_ms: int
    matched_ms: int
    matched: Candidates
    similarity: F16
    random: Candidates

    @property
    def version(self) -> int:
        """The number of its cloud model."""
        return self.model.version


class _Columns(msgspec.Struct, frozen=True, array_like=True):
    logit: bytes
    item: bytes
    category: bytes
    label: bytes
    times: bytes
    age_s: bytes


Wall = Annotated[int, msgspec.Meta(ge=0)]


class _Batch(msgspec.Struct, frozen=True, array_like=True, tag="batch/1"):
    user_id: Name
    batch_seq: Annotated[int, msgspec.Meta(ge=0)]
    model: ModelId
    query_timestamp: TimestampMs
    produced_ms: Wall
    matched_ms: Wall
    matched: _Columns
    similarity: bytes
    random: _Columns


_encoder = msgspec.msgpack.Encoder()
_decoder = PackedDecoder[_Batch]("batch", _Batch, BATCH_BYTES)
_SCALARS = _Batch.__struct_fields__[:6]
_MOST_SIMILAR = 1.01  # cosines, rounded to float16


def encode_batch(batch: CandidateBatch) -> bytes:
    """The batch as MessagePack, columns as little-endian bytes."""
    scalars = {name: getattr(batch, name) for name in _SCALARS}
    matched, random = _pack(batch.matched), _pack(batch.random)
    return _encoder.encode(_Batch(**scalars, matched=matched, similarity=batch.similarity.tobytes(), random=random))


def decode_batch(raw: bytes) -> CandidateBatch:
    """The batch in `raw`; raises `Malformed` when it is no batch or its numbers can't be trained on."""
    wire = _decoder(raw)
    try:
        matched, random = _unpack(wire.matched), _unpack(wire.random)
        similarity = np.frombuffer(wire.similarity, np.float16)
        if len(similarity) != len(matched):
            raise ValueError("columns of different lengths")
        if not (np.abs(similarity) <= _MOST_SIMILAR).all():
            raise ValueError("a similarity beyond −1 to 1")
    except ValueError as error:
        raise Malformed("batch", Reason.MALFORMED, str(error)) from None
    scalars = {name: getattr(wire, name) for name in _SCALARS}
    return CandidateBatch(**scalars, matched=matched, similarity=similarity, random=random)


def _pack(c: Candidates) -> _Columns:
    columns = c.logit, c.item, c.category, c.label, c.times, c.age_s
    return _Columns(*(np.ascontiguousarray(column).tobytes() for column in columns))


def _unpack(wire: _Columns) -> Candidates:
    """The columns; raises `ValueError`."""
    logit = np.frombuffer(wire.logit, np.float16)
    item, category, age_s = (np.frombuffer(b, np.uint32) for b in (wire.item, wire.category, wire.age_s))
    label, times = (np.frombuffer(b, np.uint8) for b in (wire.label, wire.times))
    columns = logit, item, category, label, times, age_s
    if len({len(column) for column in columns}) > 1:
        raise ValueError("columns of different lengths")
    if not np.isfinite(logit).all():
        raise ValueError("a logit that is not finite")
    if not (label <= 1).all() or not item.all() or not category.all():
        raise ValueError("a label that is neither 0 nor 1, or an item or category without a key")
    return Candidates(*columns)


def no_candidates() -> Candidates:
    """An empty set of candidates."""
    none, no_bytes = np.zeros(0, np.uint32), np.zeros(0, np.uint8)
    return Candidates(
        logit=np.zeros(0, np.float16), item=none, category=none, label=no_bytes, times=no_bytes, age_s=none
    )
