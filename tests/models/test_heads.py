"""Personal heads against the plainest oracle: one torch module per device, trained by autograd in a loop."""

import numpy as np
import pytest
import torch

from benchmarks.one_head import train_one_head
from models.arrays import F32, U32
from models.cloud_model import random_model
from models.heads import HeadParams, Heads, centred, fit_heads
from models.training_rows import TrainingRows

SETTINGS = {"steps": 20, "learning_rate": 0.02, "weight_decay": 0.01}
NONE = np.zeros(0, np.uint32)
TEMPLATE = random_model(NONE, NONE, seed=1).head


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def some_rows(counts: list[int], seed: int = 0, outside_share: float = 0.5) -> TrainingRows:
    rng = np.random.default_rng(seed)
    pair = np.repeat(np.arange(len(counts)), counts)
    n = len(pair)
    x = rng.normal(size=(n, 96)).astype(np.float32)
    return TrainingRows.from_flat(
        pair,
        len(counts),
        features=x,
        label=(x[:, 0] + 0.3 * rng.normal(size=n) > 0).astype(np.float32),
        weight=rng.uniform(0.2, 1, n).astype(np.float32),
        outside=(rng.random(n) < outside_share).astype(np.float32),
        item=rng.integers(1, 40, n).astype(np.uint32),
        category=rng.integers(1, 5, n).astype(np.uint32),
    )


def own_events(n: int, seed: int = 9) -> tuple[F32, U32, U32]:
    rng = np.random.default_rng(seed)
    item, category = rng.integers(1, 45, n).astype(np.uint32), rng.integers(1, 7, n).astype(np.uint32)
    return rng.normal(size=(n, 96)).astype(np.float32), item, category


def test_the_stacked_step_trains_each_head_as_autograd_would_alone() -> None:
    rows = some_rows([50, 7, 0, 33])
    heads = fit_heads(TEMPLATE, rows, **SETTINGS)  # type: ignore[arg-type]
    events = own_events(200)
    for pair in range(4):
        alone = train_one_head(TEMPLATE, rows.take(np.array([pair])), **SETTINGS)  # type: ignore[arg-type]
        ours = heads.logits(np.full(200, pair), *events)
        np.testing.assert_allclose(ours, alone.logits(*events), atol=2e-4)


@pytest.mark.parametrize("group", [8, 16, 40])
def test_a_head_is_the_same_to_the_bit_whoever_is_in_its_group(group: int) -> None:
    rows = some_rows([20 + 3 * g for g in range(40)])
    whole = fit_heads(TEMPLATE, rows, **SETTINGS)  # type: ignore[arg-type]
    part = fit_heads(TEMPLATE, rows.take(slice(0, group)), **SETTINGS)  # type: ignore[arg-type]
    np.testing.assert_array_equal(part.params, whole.params[:group])
    np.testing.assert_array_equal(part.bias_values, whole.take(np.arange(group)).bias_values)


def test_more_heads_than_one_group_are_trained_alike() -> None:
    rows = some_rows([9] * 70)
    whole = fit_heads(TEMPLATE, rows, **SETTINGS)  # type: ignore[arg-type]
    last = fit_heads(TEMPLATE, rows.take(slice(64, 70)), **SETTINGS)  # type: ignore[arg-type]
    np.testing.assert_array_equal(last.params, whole.params[64:])


def test_a_head_learns_its_rows() -> None:
    rows = some_rows([200], outside_share=0)
    heads = fit_heads(TEMPLATE, rows, steps=200, learning_rate=0.02, weight_decay=0.001)
    logits = heads.logits(np.zeros(200, np.int64), rows.features[0], rows.item[0], rows.category[0])
    assert ((logits > 0) == (rows.label[0] > 0)).mean() > 0.95


def test_without_rows_a_head_is_the_cloud_head() -> None:
    heads = fit_heads(TEMPLATE, some_rows([0, 5]), **SETTINGS)  # type: ignore[arg-type]
    copies = Heads.copies(TEMPLATE, 1)
    np.testing.assert_array_equal(heads.params[0], copies.params[0])


def test_strong_decay_keeps_a_head_at_the_cloud_head() -> None:
    rows, which = some_rows([40]), np.zeros(50, np.int64)
    cloud = Heads.copies(TEMPLATE, 1).logits(which, *own_events(50))
    free = fit_heads(TEMPLATE, rows, steps=50, learning_rate=0.01, weight_decay=0.0).logits(which, *own_events(50))
    held = fit_heads(TEMPLATE, rows, steps=50, learning_rate=0.01, weight_decay=30.0).logits(which, *own_events(50))
    assert np.abs(held - cloud).mean() < 0.2 * np.abs(free - cloud).mean()


def test_how_often_others_click_stays_in_the_intercept() -> None:
    """Own rows click half the time, outside rows always: own predictions must not follow the outside ones."""
    rng = np.random.default_rng(0)
    n, own = 400, 100
    outside = np.repeat([0.0, 1.0], [own, n - own]).astype(np.float32)
    label = np.where(outside > 0, 1, np.arange(n) % 2).astype(np.float32)
    x = (0.01 * rng.normal(size=(n, 96))).astype(np.float32)
    columns = {"features": x, "label": label, "weight": np.ones(n, np.float32)}
    keys = {"item": np.ones(n, np.uint32), "category": np.ones(n, np.uint32)}
    pair = np.zeros(n, np.int64)
    with_intercept = TrainingRows.from_flat(pair, 1, outside=outside, **columns, **keys)  # type: ignore[arg-type]
    without = TrainingRows.from_flat(pair, 1, outside=0 * outside, **columns, **keys)  # type: ignore[arg-type]

    def own_rate(rows: TrainingRows) -> float:
        heads = fit_heads(TEMPLATE, rows, steps=300, learning_rate=0.02, weight_decay=0.001)
        logits = heads.logits(np.zeros(own, np.int64), x[:own], keys["item"][:own], keys["category"][:own])
        return float((1 / (1 + np.exp(-logits))).mean())

    assert own_rate(with_intercept) < 0.65
    assert own_rate(without) > 0.75


def test_biases_are_found_by_key_and_unknown_ones_are_zero() -> None:
    heads = Heads.copies(TEMPLATE, 2)
    rows = some_rows([30])
    heads.put(np.array([1]), fit_heads(TEMPLATE, rows, **SETTINGS))  # type: ignore[arg-type]
    features, item, category = own_events(100)
    mlp = heads.logits(np.ones(100, np.int64), features, np.full(100, 99, np.uint32), np.full(100, 99, np.uint32))
    biases = heads.logits(np.ones(100, np.int64), features, item, category) - mlp
    keys, values = heads.bias_keys[1].tolist(), heads.bias_values[1].tolist()
    known = dict(zip(keys, values, strict=True))
    pairs = zip(item.tolist(), category.tolist(), strict=True)
    wanted = [known.get(i, 0.0) + known.get(c + (1 << 32), 0.0) for i, c in pairs]
    np.testing.assert_allclose(biases, wanted, atol=1e-5)
    assert any(wanted) and not all(wanted)


def test_a_bank_gives_back_what_was_put() -> None:
    trained = fit_heads(TEMPLATE, some_rows([30, 60, 9]), **SETTINGS)  # type: ignore[arg-type]
    bank = Heads.copies(TEMPLATE, 5)
    bank.put(np.array([4, 0]), trained.take(np.array([1, 2])))
    bank.put(np.array([4]), trained.take(np.array([0])))
    events = own_events(60)
    for place, source in ((4, 0), (0, 2)):
        np.testing.assert_array_equal(
            bank.logits(np.full(60, place), *events), trained.logits(np.full(60, source), *events)
        )
    again = Heads.concat([bank.take(np.array([4])), trained])
    np.testing.assert_array_equal(
        again.logits(np.zeros(60, np.int64), *events), again.logits(np.ones(60, np.int64), *events)
    )


def test_a_head_is_tens_of_kilobytes() -> None:
    heads = fit_heads(TEMPLATE, some_rows([0, 300]), **SETTINGS)  # type: ignore[arg-type]
    assert heads.nbytes[0] == 4 * (96 * 32 + 32 + 32 + 1 + 1)
    assert heads.nbytes[0] < heads.nbytes[1] < 16_000


def test_the_template_survives_its_flat_form() -> None:
    assert isinstance(TEMPLATE, HeadParams) and len(TEMPLATE.flat()) == TEMPLATE.layout.size
    features = own_events(5)[0]
    plain = np.maximum(features @ TEMPLATE.w1 + TEMPLATE.b1, 0) @ TEMPLATE.w2 + TEMPLATE.b2
    keys = np.ones(5, np.uint32)
    copies = Heads.copies(TEMPLATE, 1).logits(np.zeros(5, np.int64), features, keys, keys)
    np.testing.assert_allclose(copies, plain, atol=1e-5)


def test_a_centred_head_agrees_with_the_cloud_on_average_over_own_rows_and_ranks_as_before() -> None:
    rows = some_rows([40, 7, 0, 16])
    heads = fit_heads(TEMPLATE, rows, **SETTINGS)  # type: ignore[arg-type]
    level = centred(TEMPLATE, heads, rows)
    cloud = Heads.copies(TEMPLATE, len(rows))
    for pair in (0, 1, 3):
        own = np.flatnonzero((rows.weight[pair] > 0) & (rows.outside[pair] == 0))
        seen = rows.features[pair, own], rows.item[pair, own], rows.category[pair, own]
        which = np.full(len(own), pair)
        before, after = heads.logits(which, *seen), level.logits(which, *seen)
        assert (after - cloud.logits(which, *seen)).mean() == pytest.approx(0, abs=1e-5)
        assert np.ptp(after - before) == pytest.approx(0, abs=1e-5)
    np.testing.assert_array_equal(level.params[2], heads.params[2])
