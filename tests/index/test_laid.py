import numpy as np
import pytest

from index.laid import laid_out
from index.scored import NONE, Scored
from tests.wire.batches import MODEL, candidates
from wire.arrays import F64, U32
from wire.batch import packed, zipped
from wire.candidates import CandidateBatch, Candidates


def packed_columns(matched: Candidates, score: F64, random: Candidates) -> bytes:
    return packed(CandidateBatch("ann", 1, MODEL, 0, 0, 0, matched, score.astype(np.float16), random)).columns


@pytest.mark.parametrize(("matched", "random"), [(0, 0), (1, 0), (0, 3), (1600, 1600), (50_000, 7)])
def test_rows_are_the_bytes_that_their_columns_are(matched: int, random: int) -> None:
    both, score = (candidates(matched), candidates(random, 1)), np.random.default_rng(2).uniform(-1, 1, matched)
    found = laid_out(Scored.of(both[0], score), Scored.of(both[1], np.zeros(random)))
    assert zipped(found) == packed_columns(both[0], score, both[1])


def aged(age_s: U32) -> Candidates:
    n = len(age_s)
    few, bits = np.ones(n, np.uint32), np.arange(n).astype(np.uint16)
    return Candidates(bits.view(np.float16), few, few, few.astype(np.uint8), bits.astype(np.uint8), age_s)


def test_every_logit_and_every_age_is_rounded_as_on_a_device() -> None:
    near = np.concatenate([np.full(33, 2.0) ** np.arange(33) * eighth / 8 for eighth in range(8, 16)])
    ages = np.clip(np.concatenate([near - 2, near - 1, near]), 0, 2**32 - 1).astype(np.uint32)
    rows = aged(np.resize(ages, 1 << 16))
    assert zipped(laid_out(NONE, Scored.of(rows, np.zeros(len(rows))))) == packed_columns(
        aged(ages[:0]), np.zeros(0), rows
    )


def test_similarities_are_rounded_by_way_of_float16() -> None:
    halves = np.arange(1 << 16).astype(np.uint16).view(np.float16).astype(np.float64)
    halves = halves[np.abs(halves) < 2]
    between = (halves + np.roll(halves, 1)) / 2  # which of both is nearer, hangs on the last bit
    score = np.concatenate([halves, between, np.nextafter(between, 2), np.nextafter(between, -2), [0.0, -0.0, 1e-300]])
    rows = aged(np.zeros(len(score), np.uint32))
    assert zipped(laid_out(Scored.of(rows, score), NONE)) == packed_columns(rows, score, aged(np.zeros(0, np.uint32)))
