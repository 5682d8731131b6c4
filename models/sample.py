"""Samples: labelled CTR training examples, in columns.

A sample is what was known just before an event, plus its label. Hot paths handle blocks of them;
on Kafka `samples` each travels alone (MessagePack, without vectors: whoever reads it encodes it
with the cloud model it has, so that versions never mix).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any, Self

import numpy as np

from models.base import bases
from wire.arrays import F32, I64, U8, U32, U64, Bool
from wire.identity import NO_MODEL, ModelId
from wire.sample import HISTORY_LEN, SampleRecord, decode_record


@dataclass(frozen=True, slots=True)
class SampleBlock:
    """n samples in columns; histories newest first, padded with `NO_KEY`.

    `times` positives of its item its user had before, as `InteractionLog.before` counts them.
    `timestamp` is event time (Unix ms); `produced_ms` is the wall clock when the event was produced
    to Kafka. `base` (n,) is as in `models.base`. `logit` (n,) is that, or where there is none what the cloud model
    expects of the sample, `match_key` (n, KEY_DIM) is what the pool searches by; both are None until encoded, and
    carry the cloud `model` that made them.
    """

    sample: U64
    user: U64
    item: U32
    category: U32
    label: U8
    times: U8
    timestamp: I64
    produced_ms: I64
    history_item: U32  # (n, HISTORY_LEN)
    history_category: U32  # (n, HISTORY_LEN)
    base: F32
    logit: F32 | None = None
    match_key: F32 | None = None
    model: ModelId = NO_MODEL

    def __len__(self) -> int:
        return len(self.sample)

    def with_encoding(self, logit: F32, match_key: F32, model: ModelId) -> Self:
        """The same samples, encoded by `model`."""
        return replace(self, logit=logit, match_key=match_key, model=model)

    def take(self, rows: I64 | slice) -> Self:
        """The samples at `rows`, in that order."""
        columns: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        taken: dict[str, Any] = {k: v[rows] if isinstance(v, np.ndarray) else v for k, v in columns.items()}
        return type(self)(**taken)

    def where(self, kept: Bool) -> Self:
        """The samples that are `kept` (n,): nearly always all of them."""
        return self if kept.all() else self.take(np.flatnonzero(kept))

    @classmethod
    def concat(cls, blocks: Sequence[Self]) -> Self:
        """All samples of `blocks` (at least one, of one cloud model), in order."""
        assert len({b.model for b in blocks}) == 1, "blocks of different models never mix"
        columns = {f.name: [getattr(b, f.name) for b in blocks] for f in fields(cls) if f.name != "model"}
        joined: dict[str, Any] = {k: None if v[0] is None else np.concatenate(v) for k, v in columns.items()}
        return cls(model=blocks[0].model, **joined)


_SCALARS = SampleRecord.__struct_fields__[:8]
_SCALAR_TYPES = (np.uint64, np.uint64, np.uint32, np.uint32, np.uint8, np.uint8, np.int64, np.int64)
_HISTORY_BYTES = 4 * HISTORY_LEN


def decode_samples(messages: Sequence[bytes]) -> SampleBlock:
    """One block from many `samples` messages; raises `Malformed`."""
    return block_of([decode_record(m) for m in messages])


def block_of(records: Sequence[SampleRecord]) -> SampleBlock:
    """Many samples in columns, not yet encoded."""
    n = len(records)
    columns: dict[str, Any] = {
        k: np.fromiter(map(attrgetter(k), records), t, n) for k, t in zip(_SCALARS, _SCALAR_TYPES, strict=True)
    }
    return SampleBlock(
        **columns,
        history_item=pad_histories([r.history_item for r in records]),
        history_category=pad_histories([r.history_category for r in records]),
        base=bases([r.base for r in records]),
    )


def pad_histories(histories: Sequence[U32 | bytes]) -> U32:
    """Ragged newest-first histories (keys, or their little-endian bytes) as one (n, HISTORY_LEN) array.

    Padded with `NO_KEY`; of longer ones, only the newest `HISTORY_LEN` stay.
    """
    rows = [h if isinstance(h, bytes) else h.tobytes() for h in histories]
    joined = b"".join([row[:_HISTORY_BYTES].ljust(_HISTORY_BYTES, b"\0") for row in rows])
    return np.frombuffer(bytearray(joined), np.uint32).reshape(-1, HISTORY_LEN)
