"""Candidates and batches of any size for tests."""

from dataclasses import fields

import numpy as np

from wire.candidates import CandidateBatch, Candidates
from wire.identity import ModelId

COLUMNS = [field.name for field in fields(Candidates)]
MODEL = ModelId("", 2)


def candidates(n: int, seed: int = 0, items: int = 2**32 - 1) -> Candidates:
    """Candidates of so many items at most, each item of one of 50 categories."""
    rng = np.random.default_rng(seed)
    item = rng.integers(1, items, n, dtype=np.uint32, endpoint=True)
    logit, label = rng.normal(size=n).astype(np.float16), rng.integers(0, 2, n).astype(np.uint8)
    times, age_s = rng.integers(0, 31, n).astype(np.uint8), rng.integers(0, 10**7, n, dtype=np.uint32)
    return Candidates(logit, item * np.uint32(2_654_435_761) | np.uint32(1), item % 50 + 1, label, times, age_s)


def batch_of(matched: int, random: int = 0, items: int = 2**32 - 1) -> CandidateBatch:
    """A batch of so many of both."""
    similarity = np.linspace(1, -1, matched).astype(np.float16)
    parts = candidates(matched, 0, items), similarity, candidates(random, 1, items)
    return CandidateBatch("user", 3, MODEL, 1000, 2000, 2001, *parts)


def assert_same(mine: Candidates, theirs: Candidates) -> None:
    """They are, to the last bit."""
    for name in COLUMNS:
        one, other = getattr(mine, name), getattr(theirs, name)
        assert one.dtype == other.dtype and one.tolist() == other.tolist(), name
