from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.base import expected
from models.cloud_model import DIM, CloudModel, empty_slots, random_model
from models.sample import SampleBlock
from models.signature import KEY_DIM, rarity, two_view_keys, unit
from tests.models.samples import tasteful_samples
from wire.arrays import F32, U32
from wire.sample import HISTORY_LEN

BLOCK = tasteful_samples(300, seed=1)


@pytest.fixture(scope="module")
def model() -> CloudModel:
    model = random_model(BLOCK.item, BLOCK.category, seed=3)
    late, early = torch.linspace(0, 1, HISTORY_LEN + 1), torch.linspace(1, -1, HISTORY_LEN + 1)
    return replace(model, weights=replace(model.weights, attention_recency=late, pool_recency=early))


def interests(model: CloudModel, block: SampleBlock) -> F32:
    return model.interests(block.item, block.category, block.history_item, block.history_category)


def match_keys(model: CloudModel, item: U32, category: U32) -> F32:
    """Those of samples with these histories."""
    block = replace(BLOCK.take(slice(len(item))), history_item=item, history_category=category)
    keys = model.encode_block(block).match_key
    assert keys is not None
    return keys


def plainly(model: CloudModel, block: SampleBlock) -> tuple[F32, F32]:
    """Logits and match keys, from targets and histories that are looked up apart."""
    weights, root = model.weights, np.float32(DIM**0.5)
    rows = model.item_rows(block.history_item).numpy()
    history = weights.vectors(model.item_rows(block.history_item), model.category_rows(block.history_category)).numpy()
    target = weights.vectors(model.item_rows(block.item), model.category_rows(block.category)).numpy()
    slots = np.concatenate([history, np.broadcast_to(weights.null.numpy(), target.shape)[:, None]], axis=1)
    plain = np.broadcast_to(weights.pool_query.numpy() / root, target.shape)
    looks = np.stack([target @ weights.attention.numpy() / root, plain], axis=1)
    score = looks @ slots.swapaxes(1, 2) + np.stack([weights.attention_recency, weights.pool_recency])
    score[np.broadcast_to(empty_slots(block.history_item).numpy()[:, None], score.shape)] = -np.inf
    share = np.exp(score - score.max(axis=2, keepdims=True))
    interest, pooled = ((share / share.sum(axis=2, keepdims=True)) @ slots).swapaxes(0, 1)
    keys = two_view_keys(unit(pooled), block.history_item, rarity(weights.taken.numpy())[rows])
    return expected(block.base, model.logits(model.features(interest, block.item, block.category))), keys


def test_interest_is_softmax_attention_over_the_positives_and_the_null_slot(model: CloudModel) -> None:
    row = int(np.flatnonzero((BLOCK.history_item != 0).sum(axis=1) == 3)[0])
    one = BLOCK.take(slice(row, row + 1))
    weights = model.weights
    history = model.item_vectors(one.history_item[0, :3], one.history_category[0, :3])
    slots = np.vstack([history, weights.null.numpy()])
    target = model.item_vectors(one.item, one.category)[0]
    recency = weights.attention_recency.numpy()[[0, 1, 2, HISTORY_LEN]]
    score = slots @ (target @ weights.attention.numpy()) / np.sqrt(DIM) + recency
    expected = np.exp(score) / np.exp(score).sum() @ slots
    np.testing.assert_allclose(interests(model, one)[0], expected, atol=1e-5)


def test_an_encoded_block_has_the_cloud_heads_logits_and_the_version(model: CloudModel) -> None:
    encoded = model.encode_block(BLOCK)
    assert encoded.logit is not None and encoded.model == model.id
    expected = model.logits(model.features(interests(model, BLOCK), BLOCK.item, BLOCK.category))
    np.testing.assert_allclose(encoded.logit, expected, atol=1e-6)
    assert encoded.logit.std() > 0.01


def test_what_is_encoded_is_what_training_sees(model: CloudModel) -> None:
    weights, empty = model.weights, empty_slots(BLOCK.history_item)
    slots = weights.slots(model.item_rows(BLOCK.history_item), model.category_rows(BLOCK.history_category))
    target = weights.vectors(model.item_rows(BLOCK.item), model.category_rows(BLOCK.category))
    np.testing.assert_allclose(interests(model, BLOCK), weights.interest(target, slots, empty).numpy(), atol=1e-6)
    pooled = weights.pooled(slots, empty).numpy()
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    keys = match_keys(model, BLOCK.history_item, BLOCK.history_category)[:, :DIM]
    length = np.linalg.norm(keys, axis=1, keepdims=True)
    np.testing.assert_allclose(keys / length, pooled, atol=1e-5)


@given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_an_encoding_is_to_the_bit_what_plain_lookups_make_of_it(model: CloudModel, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    block = BLOCK.take(rng.integers(0, len(BLOCK), n))
    strange = np.where(rng.random((n, HISTORY_LEN)) < 0.1, rng.integers(0, 2**32, n)[:, None], block.history_item)
    block = replace(block, history_item=strange.astype(np.uint32))
    encoded = model.encode_block(block)
    logit, match_key = plainly(model, block)
    np.testing.assert_array_equal(encoded.logit, logit)
    np.testing.assert_array_equal(encoded.match_key, match_key)


def test_padding_does_not_change_what_a_sample_looks_like(model: CloudModel) -> None:
    keys = np.zeros((1, HISTORY_LEN), np.uint32)
    keys[0, 0] = BLOCK.item[0]
    categories = np.zeros((1, HISTORY_LEN), np.uint32)
    categories[0, 0] = BLOCK.category[0]
    alone = match_keys(model, keys, categories)
    categories[0, 5] = 77  # a category without an item is padding
    np.testing.assert_array_equal(match_keys(model, keys, categories), alone)


def test_match_keys_have_length_one_also_without_history(model: CloudModel) -> None:
    none = np.zeros((2, HISTORY_LEN), np.uint32)
    for keys in (match_keys(model, BLOCK.history_item, BLOCK.history_category), match_keys(model, none, none)):
        np.testing.assert_allclose(np.linalg.norm(keys, axis=1), 1, atol=1e-5)


def test_a_shared_item_says_less_about_two_histories_the_oftener_it_was_taken(model: CloudModel) -> None:
    item = np.zeros((2, HISTORY_LEN), np.uint32)
    item[:, 0], item[0, 1], item[1, 1] = model.item_keys[0], model.item_keys[1], model.item_keys[2]

    def similarity(taken: float) -> float:
        counts = torch.full_like(model.weights.taken, 100)
        counts[1] = taken  # row 1 is that of the first key
        keys = match_keys(replace(model, weights=replace(model.weights, taken=counts)), item, np.zeros_like(item))
        return float(keys[0] @ keys[1])

    assert similarity(0) > similarity(100) > similarity(10_000)


def test_an_untrained_model_leaves_item_vectors_as_they_are(model: CloudModel) -> None:
    vectors = model.item_vectors(BLOCK.item, BLOCK.category)
    np.testing.assert_array_equal(model.standardised(vectors), vectors)


def test_unknown_items_share_the_unknown_row(model: CloudModel) -> None:
    unknown = np.array([4_000_000_000, 3_999_999_999], np.uint32)
    vectors = model.item_vectors(unknown, unknown)
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert not np.array_equal(vectors[0], model.item_vectors(BLOCK.item[:1], BLOCK.category[:1])[0])


def test_a_model_that_knows_nothing_still_encodes() -> None:
    none = np.zeros(0, np.uint32)
    encoded = random_model(none, none, seed=0).encode_block(BLOCK)
    assert encoded.logit is not None and encoded.match_key is not None
    assert np.isfinite(encoded.logit).all() and np.isfinite(encoded.match_key).all()


def test_an_empty_block_encodes_to_nothing(model: CloudModel) -> None:
    encoded = model.encode_block(BLOCK.take(slice(0, 0)))
    assert encoded.logit is not None and encoded.logit.shape == (0,)
    assert encoded.match_key is not None and encoded.match_key.shape == (0, KEY_DIM)


def test_encoding_in_one_block_or_many_is_the_same(model: CloudModel) -> None:
    block = tasteful_samples(2500, seed=2)
    whole = model.encode_block(block)
    parts = SampleBlock.concat([model.encode_block(block.take(slice(at, at + 700))) for at in (0, 700)])
    for mine, theirs in ((parts.logit, whole.logit), (parts.match_key, whole.match_key)):
        assert mine is not None and theirs is not None
        np.testing.assert_allclose(mine, theirs[:1400], atol=1e-6)


def test_features_take_the_windows_float16(model: CloudModel) -> None:
    interest = np.full((2, DIM), 0.5, np.float16)
    features = model.features(interest, BLOCK.item[:2], BLOCK.category[:2])
    assert features.dtype == np.float32 and features.shape == (2, 3 * DIM)
    np.testing.assert_allclose(features[:, 2 * DIM :], 0.5 * features[:, DIM : 2 * DIM])
