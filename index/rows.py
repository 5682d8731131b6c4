"""Samples as fixed-size binary rows: the keys and values of the pool on disk.

A key is a prefix byte, then timestamp and sample key big-endian, so that RocksDB's order is the window's
order. Values have no padding but the histories' own, which LZ4 takes out.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.window import Floor
from models.sample import SampleBlock
from wire.arrays import I64, U64
from wire.identity import ModelId
from wire.sample import HISTORY_LEN

PAYLOAD, ENCODED, META = b"r", b"v", b"m"
PAYLOAD_ROW = np.dtype(
    [
        ("user", "<u8"),
        ("item", "<u4"),
        ("category", "<u4"),
        ("label", "u1"),
        ("times", "u1"),
        ("produced_ms", "<i8"),
        ("base", "<f4"),
        ("history_item", "<u4", (HISTORY_LEN,)),
        ("history_category", "<u4", (HISTORY_LEN,)),
    ]
)
_KEY = np.dtype([("timestamp", ">u8"), ("sample", ">u8")])
_SIGN = np.uint64(1 << 63)  # flips the sign bit, so that unsigned byte order is signed order
Rows = NDArray[np.void]


@cache
def encoded_row(key_dim: int) -> np.dtype[np.void]:
    """The row type of what a cloud model makes of a sample: logit as it travels to devices, match key exactly.

    Match keys crowd together (on ml-1m the best 100 of 50,000 lie within .003): float16 costs .026 of recall@100.
    """
    return np.dtype([("logit", "<f2"), ("match_key", "<f4", (key_dim,))])


def encoded_prefix(model: ModelId) -> bytes:
    """The key prefix of what `model` made."""
    return ENCODED + model.key.to_bytes(8, "big")


def encoded_end(model: ModelId) -> bytes:
    """The first key behind those of what `model` made."""
    return ENCODED + (model.key + 1).to_bytes(8, "big")


def pack_keys(prefix: bytes, timestamp: I64, sample: U64) -> list[bytes]:
    """n keys."""
    places = np.empty(len(sample), _KEY)
    places["timestamp"], places["sample"] = timestamp.view(np.uint64) ^ _SIGN, sample
    return [prefix + place for place in split(places)]


def pack_floor(prefix: bytes, floor: Floor) -> bytes:
    """The first possible key above `floor`: where what is still in the window starts."""
    (key,) = pack_keys(prefix, np.array([floor.timestamp], np.int64), np.array([floor.sample], np.uint64))
    return key + b"\0"


def unpack_keys(prefix: bytes, keys: Sequence[bytes]) -> tuple[I64, U64]:
    """Timestamps and sample keys of n keys."""
    width = len(prefix) + _KEY.itemsize
    raw = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, width)[:, len(prefix) :]
    rows = np.frombuffer(raw.tobytes(), _KEY)
    return (rows["timestamp"].astype(np.uint64) ^ _SIGN).view(np.int64), rows["sample"].astype(np.uint64)


def pack_payload(block: SampleBlock) -> list[bytes]:
    """All of each sample but its key and what a cloud model makes of it."""
    rows = np.empty(len(block), PAYLOAD_ROW)
    for name in PAYLOAD_ROW.names or ():
        rows[name] = getattr(block, name)
    return split(rows)


def pack_encoded(block: SampleBlock) -> list[bytes]:
    """Logit and match key of each encoded sample."""
    assert block.logit is not None and block.match_key is not None, "the block is not encoded"
    rows = np.empty(len(block), encoded_row(block.match_key.shape[1]))
    rows["logit"], rows["match_key"] = block.logit, block.match_key
    return split(rows)


def unpack_rows(row: np.dtype[np.void], values: Sequence[bytes]) -> Rows:
    """n rows of type `row`; raises ValueError when a value has another size."""
    if not set(map(len, values)) <= {row.itemsize}:
        raise ValueError(f"a row is not {row.itemsize} bytes")
    return np.frombuffer(b"".join(values), row)


def unpack_payload(timestamp: I64, sample: U64, rows: Rows) -> SampleBlock:
    """The samples behind rows of payload, not encoded."""
    columns: dict[str, Any] = {name: np.ascontiguousarray(rows[name]) for name in PAYLOAD_ROW.names or ()}
    return SampleBlock(sample=sample, timestamp=timestamp, **columns)


def unpack_encoded(block: SampleBlock, rows: Rows, model: ModelId) -> SampleBlock:
    """The same samples with what `model` made of them."""
    return block.with_encoding(rows["logit"].astype(np.float32), np.ascontiguousarray(rows["match_key"]), model)


def split(rows: Rows) -> list[bytes]:
    """Each row's bytes."""
    raw: list[bytes] = rows.view(f"V{rows.dtype.itemsize}").tolist()
    return raw
