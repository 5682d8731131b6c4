"""Candidate batches and their wire form."""

import numpy as np
import pytest

from models.candidates import CandidateBatch, Candidates, decode_batch, encode_batch, no_candidates
from models.errors import ArtefactError


def candidates(n: int, dim: int = 32) -> Candidates:
    rng = np.random.default_rng(n)
    keys = rng.integers(1, 2**32, (3, n), dtype=np.uint32)
    return Candidates(
        rng.normal(size=(n, dim)).astype(np.float16), keys[0], keys[1], rng.integers(0, 2, n).astype(np.uint8), keys[2]
    )


def batch_of(n: int) -> CandidateBatch:
    return CandidateBatch("user", 3, 2, 1000, 2000, 2001, matched=candidates(n), random=no_candidates(32))


@pytest.mark.parametrize("n", [0, 1, 200])
def test_what_is_sent_is_what_is_read(n: int) -> None:
    sent, got = batch_of(n), decode_batch(encode_batch(batch_of(n)))
    assert (got.user_id, got.batch_seq, got.version, len(got.matched)) == ("user", 3, 2, n)
    for name in ("item", "category", "label", "age_s"):
        assert np.array_equal(getattr(got.matched, name), getattr(sent.matched, name))
    assert n == 0 or np.array_equal(got.matched.interest, sent.matched.interest)


def test_two_hundred_matched_and_random_candidates_cost_under_60_kilobytes() -> None:
    batch = CandidateBatch("user", 1, 1, 0, 0, 0, matched=candidates(200), random=candidates(200))
    assert len(encode_batch(batch)) < 60_000


@pytest.mark.parametrize("cut", [1, 100, 2000])
def test_a_torn_batch_is_refused_in_one_line(cut: int) -> None:
    with pytest.raises(ArtefactError, match="malformed and was dropped"):
        decode_batch(encode_batch(batch_of(50))[:-cut])
