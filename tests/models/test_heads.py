"""Personal heads: what they add to the cloud's logit, and how a store of them is kept."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.cloud_model import DIM
from models.heads import Heads, category_bias_key, item_bias_key
from wire.arrays import F32, U32

Events = tuple[F32, U32, U32]


def some_heads(biases: list[int], seed: int = 0) -> Heads:
    """Heads with so many item biases each, out of 60 items, and one for category 3."""
    rng = np.random.default_rng(seed)
    head = np.repeat(np.arange(len(biases)), biases)
    items = [rng.choice(np.arange(1, 61), n, replace=False) for n in biases]
    key = item_bias_key(np.concatenate(items).astype(np.uint32))
    every = np.arange(len(biases))
    return Heads.of(
        rng.normal(size=(len(biases), DIM)),
        np.concatenate([head, every]),
        np.concatenate([key, category_bias_key(np.full(len(biases), 3, np.uint32))]),
        rng.normal(size=len(head) + len(every)),
    )


def events(n: int, seed: int = 9) -> Events:
    rng = np.random.default_rng(seed)
    item, category = rng.integers(1, 70, n).astype(np.uint32), rng.integers(1, 7, n).astype(np.uint32)
    return rng.normal(size=(n, DIM)).astype(np.float32), item, category


def test_a_head_that_is_none_adds_nothing() -> None:
    assert not Heads.none(3).added(np.arange(3).repeat(5), *events(15)).any()


@given(st.lists(st.integers(0, 40), min_size=1, max_size=4))
def test_biases_are_found_by_key_and_unknown_ones_are_zero(counts: list[int]) -> None:
    heads, (x, item, category) = some_heads(counts), events(100)
    which = np.arange(100) % len(counts)
    known = [
        dict(zip(k.tolist(), v.tolist(), strict=True)) for k, v in zip(heads.bias_keys, heads.bias_values, strict=True)
    ]
    biases = [
        known[h].get(i, 0.0) + known[h].get(c + (1 << 32), 0.0)
        for h, i, c in zip(which.tolist(), item.tolist(), category.tolist(), strict=True)
    ]
    wanted = (heads.taste[which] * x).sum(axis=1) + np.array(biases)
    np.testing.assert_allclose(heads.added(which, x, item, category), wanted, atol=1e-5)


def test_an_item_and_a_category_of_one_key_have_biases_of_their_own() -> None:
    key = np.array([5], np.uint32)
    heads = Heads.of(np.zeros((1, DIM)), np.zeros(1, np.int64), category_bias_key(key), np.ones(1))
    zero, other = np.zeros((1, DIM), np.float32), np.array([6], np.uint32)
    assert heads.added(np.zeros(1, np.int64), zero, other, key) == 1
    assert heads.added(np.zeros(1, np.int64), zero, key, other) == 0


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.floats(-2, 2)), min_size=1, max_size=4))
def test_a_sum_adds_what_its_parts_add(parts: list[tuple[int, int, float]]) -> None:
    ones, others = some_heads([n for n, _, _ in parts]), some_heads([n for _, n, _ in parts], seed=1)
    share = np.array([s for _, _, s in parts])
    which = np.arange(80) % len(parts)
    wanted = ones.added(which, *events(80)) + share[which] * others.added(which, *events(80))
    np.testing.assert_allclose(ones.plus(others.scaled(share)).added(which, *events(80)), wanted, atol=1e-4)


def test_a_bank_gives_back_what_was_put() -> None:
    trained = some_heads([30, 60, 9])
    store = Heads.none(5)
    store.put(np.array([4, 0]), trained.take(np.array([1, 2])))
    store.put(np.array([4]), trained.take(np.array([0])))
    for place, source in ((4, 0), (0, 2)):
        np.testing.assert_array_equal(
            store.added(np.full(60, place), *events(60)), trained.added(np.full(60, source), *events(60))
        )
    again = Heads.concat([store.take(np.array([4])), trained])
    np.testing.assert_array_equal(
        again.added(np.zeros(60, np.int64), *events(60)), again.added(np.ones(60, np.int64), *events(60))
    )
