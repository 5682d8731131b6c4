"""Candidate batches and their wire form."""

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.candidates import CandidateBatch, Candidates, decode_batch, encode_batch, no_candidates
from wire.identity import ModelId
from wire.malformed import Malformed

COLUMNS = [field.name for field in fields(Candidates)]


def candidates(n: int, seed: int = 0) -> Candidates:
    rng = np.random.default_rng(seed)
    keys = rng.integers(1, 2**32, (3, n), dtype=np.uint32)
    logit, label = rng.normal(size=n).astype(np.float16), rng.integers(0, 2, n).astype(np.uint8)
    times = rng.integers(0, 31, n).astype(np.uint8)
    return Candidates(logit, keys[0], keys[1], label, times, keys[2])


MODEL = ModelId("", 2)


def batch_of(matched: int, random: int = 0) -> CandidateBatch:
    similarity = np.linspace(1, -1, matched).astype(np.float16)
    return CandidateBatch("user", 3, MODEL, 1000, 2000, 2001, candidates(matched), similarity, candidates(random, 1))


def assert_same(mine: Candidates, theirs: Candidates) -> None:
    for name in COLUMNS:
        one, other = getattr(mine, name), getattr(theirs, name)
        assert one.dtype == other.dtype and one.tolist() == other.tolist(), name


@pytest.mark.parametrize(("matched", "random"), [(0, 0), (1, 0), (0, 7), (200, 150)])
def test_what_is_sent_is_what_is_read(matched: int, random: int) -> None:
    sent = batch_of(matched, random)
    got = decode_batch(encode_batch(sent))
    assert (got.user_id, got.batch_seq, got.version) == ("user", 3, 2)
    assert (got.query_timestamp, got.produced_ms, got.matched_ms) == (1000, 2000, 2001)
    assert_same(got.matched, sent.matched)
    assert_same(got.random, sent.random)
    assert got.similarity.dtype == np.float16 and got.similarity.tolist() == sent.similarity.tolist()


def test_a_full_batch_with_random_candidates_costs_under_60_kilobytes() -> None:
    assert len(encode_batch(batch_of(1600, 1600))) < 60_000


@pytest.mark.parametrize("cut", [1, 100, 2000])
def test_a_torn_batch_is_refused_in_one_line(cut: int) -> None:
    with pytest.raises(Malformed, match="batch refused"):
        decode_batch(encode_batch(batch_of(200))[:-cut])


@pytest.mark.parametrize("length", [0, 49, 51])
def test_a_batch_with_too_few_or_too_many_similarities_is_refused(length: int) -> None:
    raw = encode_batch(replace(batch_of(50), similarity=np.ones(length, np.float16)))
    with pytest.raises(Malformed, match="columns of different lengths"):
        decode_batch(raw)


@pytest.mark.parametrize("source", ["matched", "random"])
@pytest.mark.parametrize("column", COLUMNS)
def test_a_batch_with_a_column_that_is_too_short_is_refused(source: str, column: str) -> None:
    sent = batch_of(5, 5)
    whole = getattr(sent, source)
    short = replace(whole, **{column: getattr(whole, column)[:-1]})
    with pytest.raises(Malformed, match="columns of different lengths"):
        decode_batch(encode_batch(replace(sent, **{source: short})))


@given(st.lists(st.integers(0, 9), max_size=20))
def test_taken_candidates_stay_whole(rows: list[int]) -> None:
    ten = candidates(10)
    taken = ten.take(np.array(rows, np.int64))
    assert len(taken) == len(rows)
    for name in COLUMNS:
        assert getattr(taken, name).tolist() == [getattr(ten, name)[row] for row in rows]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4))
def test_parts_join_in_order(cuts: list[int]) -> None:
    ten = candidates(10)
    bounds = [0, *sorted(cuts), 10]
    parts = [ten.take(np.arange(*ends)) for ends in pairwise(bounds)]
    assert_same(Candidates.concat([no_candidates(), *parts]), ten)
