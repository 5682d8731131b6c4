"""Candidates in columns."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.batches import COLUMNS, assert_same, candidates
from wire.candidates import Candidates, no_candidates


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
