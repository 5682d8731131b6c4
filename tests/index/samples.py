"""Made-up encoded samples for the tests of the pool."""

from collections.abc import Sequence

import numpy as np

from index.matches import Limits
from index.sight import Sight
from index.table import SEEN
from models.sample import SampleBlock
from wire.arrays import F32, U64
from wire.identity import ModelId
from wire.sample import HISTORY_LEN

KEY_DIM = 8


def unit(vectors: F32) -> F32:
    scaled: F32 = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def random_keys(n: int, seed: int, dim: int = KEY_DIM) -> F32:
    return unit(np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32))


def samples(
    timestamps: Sequence[int],
    *,
    keys: Sequence[int] | None = None,
    users: Sequence[int] | None = None,
    labels: Sequence[int] | None = None,
    match_key: F32 | None = None,
    seed: int = 0,
    version: int = 1,
    lineage: str = "",
    key_dim: int = KEY_DIM,
) -> SampleBlock:
    """Samples at `timestamps`; what is not given is drawn. Histories tell samples apart, so payloads do."""
    n = len(timestamps)
    rng = np.random.default_rng(seed)
    sample = np.arange(1, n + 1) if keys is None else np.array(keys)
    history = np.zeros((n, HISTORY_LEN), np.uint32)
    history[:, 0] = sample & 0xFFFFFFFF
    return SampleBlock(
        sample=sample.astype(np.uint64),
        user=(rng.integers(1, 6, n) if users is None else np.array(users)).astype(np.uint64),
        item=rng.integers(1, 2**32, n).astype(np.uint32),
        category=rng.integers(1, 2**32, n).astype(np.uint32),
        label=(rng.integers(0, 2, n) if labels is None else np.array(labels)).astype(np.uint8),
        times=rng.integers(0, 256, n).astype(np.uint8),
        timestamp=np.array(timestamps, np.int64),
        produced_ms=np.array(timestamps, np.int64) + 7,
        history_item=history,
        history_category=history + 1,
        base=(sample % 7).astype(np.float32),
    ).with_encoding(
        rng.normal(size=n).astype(np.float16).astype(np.float32),
        random_keys(n, seed, key_dim) if match_key is None else match_key,
        ModelId(lineage, version),
    )


def reencoded(block: SampleBlock, model: ModelId) -> SampleBlock:
    """`block` as a made-up `model` encodes it, from its payload alone; row by row the same in whatever blocks."""
    waves = np.sin(np.outer(block.item, np.arange(1, KEY_DIM + 1)) + model.key % 1000)
    return block.with_encoding((block.item % 64 + model.version).astype(np.float32), unit(waves), model)


def all_seen(rows: int, queries: int) -> Sight:
    """Where every query may see all rows, which count from 1000."""
    table = np.zeros(rows, SEEN)
    table["live"] = True
    return Sight(table, 1000, 2, Limits(np.ones(queries, np.uint64), np.ones(queries, np.int64)))


def askers(*users: int) -> U64:
    return np.array(users, np.uint64)
