"""Merging: the best of every label, best first."""

import pickle
from dataclasses import fields
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.scored import NONE, Scored, best_of, share
from wire.candidates import Candidates, no_candidates


def scored(*rows: tuple[float, int, int]) -> Scored:
    """Rows of (score, label, item)."""
    item = np.array([i for _, _, i in rows], np.uint32)
    label = np.array([label for _, label, _ in rows], np.uint8)
    score = np.array([s for s, _, _ in rows])
    return Scored.of(Candidates(score.astype(np.float16), item, item, label, label, item), score)


def test_the_best_of_each_label_from_all_shards() -> None:
    merged = best_of([scored((0.9, 0, 1), (0.1, 0, 2), (0.5, 1, 3)), scored((0.8, 0, 4), (0.7, 1, 5)), scored()], 2)
    assert merged.candidates.item.tolist() == [1, 4, 5, 3]
    assert merged.candidates.label.tolist() == [0, 0, 1, 1] and merged.score.tolist() == [0.9, 0.8, 0.7, 0.5]
    assert merged.candidates.logit.tolist() == merged.score.astype(np.float16).tolist()  # rows stay whole


@given(st.lists(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 1)), max_size=6), min_size=1, max_size=4))
def test_equal_ones_come_by_shard_and_as_their_shard_had_them(drawn: list[list[tuple[int, int]]]) -> None:
    parts, number = [], count(1)
    for each in drawn:
        rows = sorted(each, key=lambda row: (row[1], -row[0]))
        parts.append([(float(score), label, next(number)) for score, label in rows])
    every = [row for part in parts for row in part]
    best = [sorted((row for row in every if row[1] == label), key=lambda row: -row[0])[:3] for label in (0, 1)]
    merged = best_of([scored(*part) for part in parts], 3)
    assert merged.candidates.item.tolist() == [item for _, _, item in best[0] + best[1]]


def test_nothing_from_nowhere() -> None:
    assert len(best_of([NONE, NONE], 3).candidates) == 0


@pytest.mark.parametrize(("k", "shards"), [(1, 2), (20, 16), (100, 3), (800, 2), (800, 16), (800, 80)])
def test_of_the_best_no_shard_has_more_than_its_share(k: int, shards: int) -> None:
    where = np.random.default_rng(k).integers(shards, size=(3_000, k))
    most = max(np.bincount(each, minlength=shards).max() for each in where)
    assert k / shards <= most <= share(k, shards) <= k
    assert share(k, shards) <= 8 + 2 * most  # and looks for little more than there may be


@pytest.mark.parametrize("n", [0, 1, 7])
def test_what_a_shard_found_comes_to_another_process_as_it_was(n: int) -> None:
    rng = np.random.default_rng(n)
    columns = {
        field.name: np.frombuffer(rng.bytes(n * column.itemsize), column.dtype)
        for field in fields(Candidates)
        for column in [getattr(no_candidates(), field.name)]
    }
    found = Scored.of(Candidates(**columns), rng.normal(size=n))
    came = pickle.loads(pickle.dumps(found))
    assert came.score.tolist() == found.score.tolist()
    for name, column in columns.items():
        there = getattr(came.candidates, name)
        assert there.dtype == column.dtype
        assert there.tobytes() == column.tobytes(), name
