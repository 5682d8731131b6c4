"""Signatures say which items are in a history; beside the pooled view they make the match key."""

import numpy as np
import pytest

from models.cloud_model import DIM
from models.sample import pad_histories
from models.signature import KEY_DIM, POOLED_LENGTH, SIGNATURE_DIM, rarity, signatures, two_view_keys
from wire.arrays import F32, U32


def histories(*items: list[int]) -> U32:
    return pad_histories([np.array(row, np.uint32) for row in items])


def alike(history: U32) -> F32:
    """Every item as rare as any other."""
    return np.ones(history.shape, np.float32)


def signed(*items: list[int]) -> F32:
    return signatures(histories(*items), alike(histories(*items)))


def test_the_width_has_room_for_the_pooled_view() -> None:
    assert KEY_DIM == DIM + SIGNATURE_DIM


def test_a_history_of_one_item_is_that_items_signs_and_keys_have_none_in_common() -> None:
    many = signed(*([item] for item in range(1, 2001)))
    assert np.allclose(np.abs(many), 1 / np.sqrt(SIGNATURE_DIM))
    apart = (many @ many.T)[np.triu_indices(2000, 1)]
    # Independent signs: mean 0, deviation 1/8, of two million pairs.
    assert abs(apart.mean()) < 1e-3 and apart.std() == pytest.approx(1 / 8, rel=0.01)


def test_the_inner_product_is_the_decayed_overlap_on_average() -> None:
    """[a, b, c] and [b, d]: b has weights .7 and 1."""
    a, b, c, d = np.random.default_rng(0).integers(1, 2**32, (4, 20_000)).tolist()
    left = signed(*map(list, zip(a, b, c, strict=True)))
    right = signed(*map(list, zip(b, d, strict=True)))
    expected = 0.7 / np.sqrt((1 + 0.7**2 + 0.7**4) * (1 + 0.7**2))
    assert (left * right).sum(axis=1).mean() == pytest.approx(expected, abs=0.02)


def test_signatures_never_change() -> None:
    """They lie in pools on disk, and every process must agree on them."""
    signs = signed([1], [4_000_000_000])[:, :12] > 0
    assert ["".join("-+"[sign] for sign in row) for row in signs.astype(int)] == ["+-----++--++", "-++-+-+++++-"]


def test_histories_are_more_alike_by_a_rare_item_that_they_share_than_by_a_common_one() -> None:
    rng = np.random.default_rng(0)
    shared, ann, bob = rng.integers(1, 2**32, (3, 5_000)).tolist()
    left = histories(*map(list, zip(shared, ann, strict=True)))
    right = histories(*map(list, zip(shared, bob, strict=True)))

    def overlap(taken: float) -> float:
        rare = rarity(np.where(np.arange(left.shape[1]) == 0, taken, 100).astype(np.float32))
        weight = np.broadcast_to(rare, left.shape)
        return float((signatures(left, weight) * signatures(right, weight)).sum(axis=1).mean())

    weights = np.array([1 / np.log(10), 0.7 / np.log(110)])  # of the shared item, never taken, and of the other
    assert overlap(0) == pytest.approx(weights[0] ** 2 / (weights**2).sum(), abs=0.02)
    assert overlap(0) > overlap(100) > overlap(10_000)


def test_padding_adds_nothing_and_an_empty_history_has_none() -> None:
    found = signed([], [5])
    assert not found[0].any() and np.linalg.norm(found[1]) == pytest.approx(1)


def test_the_views_share_a_key_of_length_one_and_the_pooled_one_stands_alone_without_a_history() -> None:
    pooled = np.random.default_rng(0).normal(size=(2, DIM)).astype(np.float32)
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    history = histories([], [7, 8])
    keys = two_view_keys(pooled, history, alike(history))
    assert keys.dtype == np.float32 and np.linalg.norm(keys, axis=1) == pytest.approx(np.ones(2))
    assert keys[0, :DIM] == pytest.approx(pooled[0]) and not keys[0, DIM:].any()
    share = POOLED_LENGTH**2 / (POOLED_LENGTH**2 + 1)
    assert (keys[1, :DIM] ** 2).sum() == pytest.approx(share, rel=1e-5)
