import numpy as np
import pytest

from models.cloud_model import sigmoid
from models.streamed.ftrl import Ftrl


def test_it_finds_the_odds_of_what_it_can_tell_apart() -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 4, 40_000)
    chance = np.array([0.1, 0.3, 0.5, 0.9])
    label = (rng.random(40_000) < chance[kind]).astype(np.float64)
    model = Ftrl()
    for at in range(0, 40_000, 250):
        rows = slice(at, at + 250)
        place = np.stack([kind[rows], np.full(250, 9)], axis=1)
        model.learn(place, label[rows] - sigmoid(model.logits(place).astype(np.float32)))
    found = sigmoid(model.logits(np.stack([np.arange(4), np.full(4, 9)], axis=1)).astype(np.float32))
    assert found == pytest.approx(chance, abs=0.1), "drawn a little to the middle"


def test_what_was_hardly_seen_says_nothing() -> None:
    model = Ftrl()
    model.learn(np.array([[5]]), np.array([0.5]))
    assert model.logits(np.array([[5], [6]])).tolist() == [0, 0]
