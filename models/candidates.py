"""The candidate batch: what one match sends down to one device (MessagePack on Kafka and MQTT).

A candidate is 2·32 (interest, float16) + 4 + 4 + 1 + 4 = 77 bytes at 32 dimensions, and says nothing
about who it came from: 400 of them are 31 kB, 700 are 54 kB, under the 60 kB that a push may cost.
"""

from dataclasses import dataclass

import msgspec
import numpy as np

from models.arrays import F16, U8, U32
from models.errors import ArtefactError


@dataclass(frozen=True, slots=True)
class Candidates:
    """n samples of other users in columns; `age_s` is their age in event time at the query, in seconds."""

    interest: F16  # (n, d)
    item: U32
    category: U32
    label: U8
    age_s: U32

    def __len__(self) -> int:
        return len(self.item)


@dataclass(frozen=True, slots=True)
class CandidateBatch:
    """One match's result for one device.

    `batch_seq` counts up per device, the newest wins; `version` is the cloud model that encoded it.
    Event time: `query_timestamp`. Wall clock (ms): `produced_ms` of the event that triggered the match,
    `matched_ms` when the search was done. `matched` is the coarse-grained retrieval, `random` as many
    random samples of the pool, for the arm of that name (empty when the arm is off).
    """

    user_id: str
    batch_seq: int
    version: int
    query_timestamp: int
    produced_ms: int
    matched_ms: int
    matched: Candidates
    random: Candidates


class _Columns(msgspec.Struct, frozen=True, array_like=True):
    interest: bytes
    item: bytes
    category: bytes
    label: bytes
    age_s: bytes


class _Batch(msgspec.Struct, frozen=True, array_like=True):
    user_id: str
    batch_seq: int
    version: int
    query_timestamp: int
    produced_ms: int
    matched_ms: int
    matched: _Columns
    random: _Columns


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Batch)
_SCALARS = _Batch.__struct_fields__[:6]


def encode_batch(batch: CandidateBatch) -> bytes:
    """The batch as MessagePack, columns as little-endian bytes."""
    scalars = {name: getattr(batch, name) for name in _SCALARS}
    return _encoder.encode(_Batch(**scalars, matched=_pack(batch.matched), random=_pack(batch.random)))


def decode_batch(raw: bytes) -> CandidateBatch:
    """The batch in `raw`; raises `ArtefactError` when it is malformed or its columns disagree in length."""
    try:
        wire = _decoder.decode(raw)
        matched, random = _unpack(wire.matched), _unpack(wire.random)
    except (msgspec.DecodeError, ValueError) as error:
        raise ArtefactError(f"a candidate batch of {len(raw)} bytes is malformed and was dropped: {error}") from error
    scalars = {name: getattr(wire, name) for name in _SCALARS}
    return CandidateBatch(**scalars, matched=matched, random=random)


def _pack(c: Candidates) -> _Columns:
    return _Columns(*(np.ascontiguousarray(a).tobytes() for a in (c.interest, c.item, c.category, c.label, c.age_s)))


def _unpack(wire: _Columns) -> Candidates:
    n = len(wire.label)
    interest = np.frombuffer(wire.interest, np.float16).reshape(n, -1) if n else np.zeros((0, 0), np.float16)
    item, category, age_s = (np.frombuffer(b, np.uint32) for b in (wire.item, wire.category, wire.age_s))
    if not len(item) == len(category) == len(age_s) == n:
        raise ValueError("columns of different lengths")
    return Candidates(interest, item, category, np.frombuffer(wire.label, np.uint8), age_s)


def no_candidates(dim: int) -> Candidates:
    """An empty set of candidates of width `dim`."""
    none = np.zeros(0, np.uint32)
    return Candidates(np.zeros((0, dim), np.float16), none, none, np.zeros(0, np.uint8), none)
