"""Sample blocks and their wire form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sample import SampleBlock, decode_samples, pad_histories
from tests.models.samples import messages_of
from wire.identity import ModelId
from wire.malformed import Malformed
from wire.sample import HISTORY_LEN


def block_of(lengths: list[int], seed: int = 0) -> SampleBlock:
    rng = np.random.default_rng(seed)
    n = len(lengths)
    histories = [[rng.integers(1, 2**32, k, dtype=np.uint32) for k in lengths] for _ in range(2)]
    return SampleBlock(
        sample=rng.integers(1, 2**63, n).astype(np.uint64),
        user=rng.integers(1, 2**63, n).astype(np.uint64),
        item=rng.integers(1, 2**32, n, dtype=np.uint32),
        category=rng.integers(1, 2**32, n, dtype=np.uint32),
        label=rng.integers(0, 2, n).astype(np.uint8),
        times=rng.integers(0, 256, n).astype(np.uint8),
        timestamp=rng.integers(0, 2**40, n),
        produced_ms=rng.integers(0, 2**40, n),
        history_item=pad_histories(histories[0]),
        history_category=pad_histories(histories[1]),
        base=np.where(rng.random(n) < 0.5, rng.normal(size=n), np.nan).astype(np.float32),
    )


def same(a: SampleBlock, b: SampleBlock) -> bool:
    names = [f for f in SampleBlock.__dataclass_fields__ if f not in ("logit", "match_key", "model")]
    return all(np.array_equal(getattr(a, f), getattr(b, f), equal_nan=True) for f in names)


@given(st.lists(st.integers(0, HISTORY_LEN), max_size=8), st.integers(0, 99))
def test_what_is_sent_is_what_is_read(lengths: list[int], seed: int) -> None:
    block = block_of(lengths, seed)
    assert same(block, decode_samples(messages_of(block)))


def test_a_block_splits_and_joins() -> None:
    block = block_of([3, 0, 30, 7])
    assert same(block, SampleBlock.concat([block.take(slice(0, 1)), block.take(np.array([1, 2, 3]))]))


@pytest.mark.parametrize("other", [ModelId("", 2), ModelId("00000000000000aa", 1), ModelId("", 1, "00000000000000aa")])
def test_blocks_of_two_models_never_mix(other: ModelId) -> None:
    vectors = np.zeros(1, np.float32), np.zeros((1, 4), np.float32)
    block = block_of([1])
    with pytest.raises(AssertionError, match="never mix"):
        SampleBlock.concat([block.with_encoding(*vectors, ModelId("", 1)), block.with_encoding(*vectors, other)])


def test_a_malformed_message_is_refused() -> None:
    with pytest.raises(Malformed):
        decode_samples([b"\x93\x01\x02\x03"])
