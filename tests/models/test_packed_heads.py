"""Heads that are packed add what they do apart from each other."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.cloud_model import DIM
from models.heads import Heads, category_bias_key, item_bias_key
from models.packed_heads import NO_HEADS, PackedHeads, bias_keys, parts_of_each
from wire.arrays import F32, I64, U32, U64

ITEMS = np.arange(1, 31, dtype=np.uint32)


def some_heads(biases: list[int], seed: int) -> Heads:
    """A head for each number, with biases of so many items, and of category 3."""
    rng = np.random.default_rng(seed)
    keys = [np.append(item_bias_key(rng.permutation(ITEMS)[:n]), category_bias_key(ITEMS[2:3])) for n in biases]
    head = np.repeat(np.arange(len(biases)), [len(key) for key in keys])
    values = rng.normal(0, 1, len(head))
    return Heads.of(rng.normal(0, 1, (len(biases), DIM)), head, np.concatenate([*keys, np.zeros(0, np.uint64)]), values)


def events(n: int) -> tuple[F32, U32, U32]:
    rng = np.random.default_rng(9)
    items, categories = rng.integers(1, 40, n).astype(np.uint32), rng.integers(2, 5, n).astype(np.uint32)
    return rng.normal(0, 1, (n, DIM)).astype(np.float32), items, categories


def keyed(n: int) -> tuple[F32, U64]:
    x, items, categories = events(n)
    return x, bias_keys(items, categories)


def parts(heads: Heads, at: int, n: int) -> F32:
    return heads.parts(np.full(n, at), *events(n))


_some = st.dictionaries(st.integers(0, 10), st.integers(0, 30), max_size=11)


@given(_some, _some)
def test_packed_and_renewed_they_add_what_each_does(older: dict[int, int], newer: dict[int, int]) -> None:
    before, after = some_heads(list(older.values()), 1), some_heads(list(newer.values()), 2)
    numbers: list[I64] = [np.array(list(each), np.int64) for each in (older, newer)]
    packed = PackedHeads.of(numbers[0], before).renewed(PackedHeads.of(numbers[1], after))
    assert packed.head.tolist() == sorted({*older, *newer})
    added, apart = packed.parts(*keyed(40)), packed.unpacked()
    for column, number in enumerate(packed.head.tolist()):
        source, at = (after, list(newer).index(number)) if number in newer else (before, list(older).index(number))
        np.testing.assert_allclose(added[:, column], parts(source, at, 40), atol=1e-5)
        np.testing.assert_allclose(parts(apart, column, 40), parts(source, at, 40), atol=1e-5)


def test_keys_that_no_head_has_any_longer_go() -> None:
    one, other = (PackedHeads.of(np.array([4]), some_heads([n], seed)) for n, seed in ((30, 1), (2, 2)))
    assert len(one.renewed(other).keys) == 3
    beside = PackedHeads.of(np.array([4, 5]), some_heads([30, 2], 1)).renewed(other)
    assert len(beside.keys) <= 5


def test_keys_are_kept_once_for_all_heads() -> None:
    heads = some_heads([30] * 11, 1)
    packed = PackedHeads.of(np.arange(11), heads)
    assert packed.nbytes == 11 * 4 * DIM + 31 * (4 + 11 * 4)


def test_no_heads_add_nothing() -> None:
    assert NO_HEADS.parts(*keyed(3)).shape == (3, 0, 3) and NO_HEADS.nbytes == 0


@given(st.lists(st.integers(1, 30), min_size=1, max_size=11), st.booleans())
def test_many_devices_at_once_get_what_each_gets_by_itself(biases: list[int], biased: bool) -> None:
    x, keys = keyed(6)
    numbers = np.arange(len(biases))
    devices = [PackedHeads.of(numbers, some_heads(biases, seed)) for seed in range(6)]
    if not biased:
        devices = [replace(each, keys=each.keys[:0], values=each.values[:0]) for each in devices]
    alone = [each.parts(x[n : n + 1], keys[n : n + 1])[0] for n, each in enumerate(devices)]
    np.testing.assert_array_equal(parts_of_each(devices, x, keys), np.stack(alone))
