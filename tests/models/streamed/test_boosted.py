import ctypes
from collections.abc import Set

import lightgbm
import numpy as np
import pytest

from models.scores import auc
from models.streamed.boosted import LEAST, Boosted, logits_before, train
from wire.arrays import F32, U8

NAMES = ("item_rate_1d", "near_all_1d", "user_rate", "category_rate")
HELD = {"user_rate"}


def moments(n: int = 4000, seed: int = 0) -> tuple[F32, U8]:
    """Only two features together tell, and the user's rate by itself; the category's rate repeats that."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 4)).astype(np.float32)
    features[:, 3] = features[:, 2]
    odds = 2.0 * np.sign(features[:, 0] * features[:, 1]) + features[:, 2]
    return features, (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(np.uint8)


def trained(features: F32, label: U8, *, held: Set[str] = HELD, seed: int = 0) -> Boosted:
    trees = train(features, label, NAMES, held=held, seed=seed)
    assert trees is not None
    return trees


def test_what_features_say_together_is_found_and_chances_are_right() -> None:
    trees, (later, label) = trained(*moments()), moments(seed=1)
    probability = 1 / (1 + np.exp(-trees.logits(later)))
    assert auc(label, probability) > 0.85
    assert probability.mean() == pytest.approx(label.mean(), abs=0.03)


def test_who_asks_trees_leaves_who_trains_beside_it_one_thread() -> None:
    features, label = moments()
    trained(features, label).logits(features)
    library: ctypes.CDLL = vars(lightgbm.basic)["_LIB"]
    assert ctypes.c_int.in_dll(library, "LGBM_DEFAULT_NUM_THREADS").value == 1


def test_the_same_moments_make_the_same_trees() -> None:
    features, label = moments()
    asked = moments(seed=1)[0]
    assert trained(features, label).logits(asked).tolist() == trained(features, label).logits(asked).tolist()


def test_what_is_held_ranks_nothing() -> None:
    features, label = moments()
    pair = np.repeat(features[:1], 2, axis=0)
    pair[:, 2:] = [[-2, -2], [2, 2]]
    for held in (HELD, set()):
        trees = trained(features, label, held=held)
        score, (low, high) = trees.opinion(pair)
        assert high - low > 1
        assert np.diff(score) == pytest.approx(0 if held else high - low)


def test_too_few_moments_or_one_label_alone_make_no_trees() -> None:
    features, label = moments(LEAST)
    assert train(features, label, NAMES, held=HELD, seed=0) is not None
    assert train(features[1:], label[1:], NAMES, held=HELD, seed=0) is None
    assert train(features, np.ones_like(label), NAMES, held=HELD, seed=0) is None


def test_odds_of_an_initial_part_know_nothing_of_their_own_labels() -> None:
    features, label = moments(8000)
    other = label.copy()
    other[6000:] = 1 - other[6000:]
    odds, again = (logits_before(features, y, NAMES, held=HELD, seed=0) for y in (label, other))
    assert np.isnan(odds[:2000]).all() and not np.isnan(odds[2000:]).any()
    assert odds[2000:].tolist() == again[2000:].tolist(), "the last part teaches nobody"
    assert auc(label[2000:], odds[2000:]) > 0.8
    assert np.isnan(logits_before(features[:400], label[:400], NAMES, held=HELD, seed=0)).all()
