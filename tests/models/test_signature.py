"""Signatures say which items are in a history; beside the pooled view they make the match key."""

import numpy as np
import pytest

from models.arrays import U32
from models.cloud_model import DIM
from models.sample import pad_histories
from models.signature import KEY_DIM, POOLED_LENGTH, SIGNATURE_DIM, signatures, two_view_keys


def histories(*items: list[int]) -> U32:
    return pad_histories([np.array(row, np.uint32) for row in items])


def test_the_width_has_room_for_the_pooled_view() -> None:
    assert KEY_DIM == DIM + SIGNATURE_DIM


def test_a_history_of_one_item_is_that_items_signs_and_keys_have_none_in_common() -> None:
    many = signatures(np.pad(np.arange(1, 2001, dtype=np.uint32)[:, None], [(0, 0), (0, 29)]))
    assert np.allclose(np.abs(many), 1 / np.sqrt(SIGNATURE_DIM))
    apart = (many @ many.T)[np.triu_indices(2000, 1)]
    # Independent signs: mean 0, deviation 1/8, of two million pairs.
    assert abs(apart.mean()) < 1e-3 and apart.std() == pytest.approx(1 / 8, rel=0.01)


def test_the_inner_product_is_the_decayed_overlap_on_average() -> None:
    """[a, b, c] and [b, d]: b has weights .7 and 1."""
    a, b, c, d = np.random.default_rng(0).integers(1, 2**32, (4, 20_000)).tolist()
    left = signatures(histories(*map(list, zip(a, b, c, strict=True))))
    right = signatures(histories(*map(list, zip(b, d, strict=True))))
    expected = 0.7 / np.sqrt((1 + 0.7**2 + 0.7**4) * (1 + 0.7**2))
    assert (left * right).sum(axis=1).mean() == pytest.approx(expected, abs=0.02)


def test_signatures_never_change() -> None:
    """They lie in pools on disk, and every process must agree on them."""
    signs = signatures(histories([1], [4_000_000_000]))[:, :12] > 0
    assert ["".join("-+"[sign] for sign in row) for row in signs.astype(int)] == ["+-----++--++", "-++-+-+++++-"]


def test_padding_adds_nothing_and_an_empty_history_has_none() -> None:
    found = signatures(histories([], [5]))
    assert not found[0].any() and np.linalg.norm(found[1]) == pytest.approx(1)


def test_the_views_share_a_key_of_length_one_and_the_pooled_one_stands_alone_without_a_history() -> None:
    pooled = np.random.default_rng(0).normal(size=(2, DIM)).astype(np.float32)
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    keys = two_view_keys(pooled, histories([], [7, 8]))
    assert keys.dtype == np.float32 and np.linalg.norm(keys, axis=1) == pytest.approx(np.ones(2))
    assert keys[0, :DIM] == pytest.approx(pooled[0]) and not keys[0, DIM:].any()
    share = POOLED_LENGTH**2 / (POOLED_LENGTH**2 + 1)
    assert (keys[1, :DIM] ** 2).sum() == pytest.approx(share, rel=1e-5)
