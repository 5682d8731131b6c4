"""Candidate batches as they travel: what is sent is read, to the steps that travel, and nothing else is."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.batches import MODEL, assert_same, batch_of
from wire.batch import MOST_CANDIDATES, decode_batch, encode_batch
from wire.candidates import CandidateBatch, Candidates
from wire.grid import LOGITS, SIMILARITIES, rounded_age_s
from wire.malformed import Malformed


def as_sent(part: Candidates) -> Candidates:
    """The candidates as they arrive."""
    ages_s = np.array(list(map(rounded_age_s, part.age_s.tolist())), np.uint32)
    return replace(part, logit=LOGITS.decode(LOGITS.encode(part.logit)), age_s=ages_s)


def any_candidates(n: int, rng: np.random.Generator) -> Candidates:
    """Whatever there may be."""
    item, category = rng.integers(1, 2**32, (2, n), dtype=np.uint32)
    logit = rng.uniform(-np.finfo(np.float16).max, 1, n) ** rng.integers(0, 2)
    label, times = (rng.integers(0, most, n, np.uint8, endpoint=True) for most in (1, 255))
    age_s = rng.integers(0, 2 ** rng.integers(1, 33), n, dtype=np.uint32)
    return Candidates(logit.astype(np.float16), item, category, label, times, age_s)


@given(matched=st.integers(0, 40), random=st.integers(0, 40), seed=st.integers(0))
def test_what_is_sent_is_what_is_read_in_the_steps_that_travel(matched: int, random: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.uniform(-1, 1, matched).astype(np.float16)
    seq, produced_ms, matched_ms = rng.integers(0, 2**53, 3).tolist()
    parts = any_candidates(matched, rng), similarity, any_candidates(random, rng)
    sent = CandidateBatch("user", seq, MODEL, seed % 2**47, produced_ms, matched_ms, *parts)
    raw = encode_batch(sent)
    got = decode_batch(raw)
    for name in ("user_id", "batch_seq", "model", "query_timestamp", "produced_ms", "matched_ms"):
        assert getattr(got, name) == getattr(sent, name)
    assert_same(got.matched, as_sent(sent.matched))
    assert_same(got.random, as_sent(sent.random))
    assert got.similarity.dtype == np.float16
    assert got.similarity.tolist() == SIMILARITIES.decode(SIMILARITIES.encode(sent.similarity)).tolist()
    assert encode_batch(got) == raw, "a device that keeps what it got loses no more"


@pytest.mark.parametrize(("items", "most_kb"), [(2000, 24), (2**32 - 1, 31)])
def test_a_full_batch_stays_small_however_many_items_there_are(items: int, most_kb: int) -> None:
    assert len(encode_batch(batch_of(1600, 1600, items))) < 1000 * most_kb


@pytest.mark.parametrize("cut", [1, 100, 2000])
def test_a_torn_batch_is_refused_in_one_line(cut: int) -> None:
    with pytest.raises(Malformed, match="batch refused"):
        decode_batch(encode_batch(batch_of(400))[:-cut])


def test_as_many_candidates_as_there_may_be_arrive_and_one_more_is_refused() -> None:
    most = encode_batch(batch_of(MOST_CANDIDATES // 2, MOST_CANDIDATES // 2))
    assert len(decode_batch(most).random) == MOST_CANDIDATES // 2
    with pytest.raises(Malformed, match=f"more than {MOST_CANDIDATES} candidates"):
        decode_batch(encode_batch(batch_of(MOST_CANDIDATES // 2 + 1, MOST_CANDIDATES // 2)))


def changed(**elements: Any) -> bytes:
    """A batch of 5 matched and 4 random candidates, some of its elements replaced."""
    fields = msgspec.msgpack.decode(encode_batch(batch_of(5, 4)))
    for name, value in elements.items():
        fields[{"matched": 7, "random": 8, "columns": 9}[name]] = value
    return msgspec.msgpack.encode(fields)


def columns(logit: int = 0, label: int = 0, item: int = 1, similarity: int = 0) -> bytes:
    """Columns of 5 matched and 4 random candidates that are all alike."""
    keys = np.array([[item, 1]] * 9, "<u4").tobytes()
    return keys + bytes([logit] * 9 + [0] * 9 + [0] * 9 + [label] * 9 + [similarity] * 5)


def zipped(raw: bytes) -> bytes:
    packed: bytes = pa.compress(raw, codec="zstd", asbytes=True)
    return packed


PROMISES_A_TERABYTE = b"\x28\xb5\x2f\xfd\xe0" + (1 << 40).to_bytes(8, "little") + b"\x01\x00\x00"


@pytest.mark.parametrize(
    "elements",
    [
        {"matched": 4},
        {"random": 5},
        {"matched": 6, "random": 3},
        {"matched": 0, "random": 0},
        {"columns": b""},
        {"columns": columns()},
        {"columns": zipped(columns() + b"\x00")},
        {"columns": zipped(columns()[:-1])},
        {"columns": zipped(columns()) + b"\x00"},
        {"columns": zipped(bytes(1 << 26))},
        {"columns": PROMISES_A_TERABYTE},
        {"matched": MOST_CANDIDATES, "random": 0},
    ],
)
def test_columns_that_are_not_those_of_so_many_candidates_are_refused(elements: dict[str, Any]) -> None:
    assert len(decode_batch(changed(columns=zipped(columns()))).matched) == 5
    with pytest.raises(Malformed, match="its columns are not the"):
        decode_batch(changed(**elements))


@pytest.mark.parametrize("odd", [{"logit": 128}, {"similarity": 128}, {"label": 2}, {"item": 0}])
def test_a_number_that_nobody_can_train_on_is_refused(odd: dict[str, int]) -> None:
    with pytest.raises(Malformed, match=r"not finite|a label that is neither"):
        decode_batch(changed(columns=zipped(columns(**odd))))
