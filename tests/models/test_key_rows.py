"""Rows of keys, against a dict."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.key_rows import KeyRows
from wire.arrays import U32

KEY = st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 2**32 - 2, 2**32 - 1])


@given(st.sets(KEY, max_size=60), st.lists(KEY, max_size=20))
def test_every_key_has_its_row_and_no_other_key_has_one(known: set[int], others: list[int]) -> None:
    rows = {key: place + 1 for place, key in enumerate(sorted(known))}
    asked = [*known, *others]
    found = KeyRows(np.array(sorted(known), np.uint32)).of(np.array(asked, np.uint32))
    assert found.dtype == np.int64
    assert found.tolist() == [rows.get(key, 0) for key in asked]


@pytest.mark.parametrize(
    "known",
    [
        np.arange(1, 5000, dtype=np.uint32),
        np.unique(np.random.default_rng(0).integers(1, 2**32, 20_000).astype(np.uint32)),
    ],
    ids=["crowded", "hashes"],
)
def test_many_keys_are_found_whether_they_are_hashes_or_not(known: U32) -> None:
    asked = np.concatenate([known, known + np.uint32(1)]).reshape(2, -1)
    at = np.searchsorted(known, asked)
    is_known = np.isin(asked, known)
    np.testing.assert_array_equal(KeyRows(known).of(asked), np.where(is_known, at + 1, 0))
