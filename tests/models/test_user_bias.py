import numpy as np
import pytest

from models.user_bias import DISCOUNT, SPREAD, UserBias
from wire.arrays import F64


def offsets(labels: list[int], times: list[int], logit: float = 0.0) -> F64:
    """The offset before each event of one device."""
    bias, which, found = UserBias(1), np.array([0]), []
    for label, at in zip(labels, times, strict=True):
        found.append(bias.before(which, np.array([at]))[0])
        bias.learn(which, np.array([at]), np.array([logit]), np.array([float(label)]))
    return np.array(found)


def test_an_offset_comes_near_what_a_user_clicks_more_than_expected() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(600) < 0.62).astype(int).tolist()  # ln(.62 / .38) = .49 above even
    found = offsets(labels, list(range(600)))
    assert found[0] == 0
    assert 0.15 < found[300:].mean() < 0.49, "shrunk towards nothing, as the prior has it"
    assert np.abs(np.diff(found)).max() < 2 * SPREAD**2, "no event moves it far"


def test_it_is_the_mode_of_the_discounted_posterior() -> None:
    labels = [1, 0, 1, 1, 0, 1, 1, 1] * 8
    found = offsets([*labels, 0], list(range(len(labels) + 1)), logit=0.3)[-1]
    age = DISCOUNT ** np.arange(len(labels) - 1, -1, -1)
    grid = np.linspace(-1, 1, 4001)
    losses = np.logaddexp(0, grid[:, None] + 0.3) - np.array(labels) * (grid[:, None] + 0.3)
    posterior = grid**2 / (2 * SPREAD**2) + losses @ age
    assert found == pytest.approx(grid[posterior.argmin()], abs=0.01)


def test_rows_of_one_moment_never_see_each_other() -> None:
    apart = offsets([1, 0, 0, 1], [5, 5, 5, 9])
    assert apart[:3].tolist() == [0, 0, 0]
    assert apart[3] != 0
    assert offsets([0, 1, 0, 1], [5, 5, 5, 9])[3] == pytest.approx(apart[3]), "nor does their order matter"
    late = offsets([1, 1, 1], [5, 9, 5])
    assert late[2] == late[1], "an event that comes late learns nothing of its own moment"


def test_devices_have_biases_of_their_own() -> None:
    bias, both = UserBias(1), np.array([0, 1])
    bias.grow(1)
    for at in range(1, 30):
        bias.before(both, np.full(2, at))
        bias.learn(both, np.full(2, at), np.zeros(2), np.array([1.0, 0.0]))
    up, down = bias.before(both, np.full(2, 30))
    assert up == pytest.approx(-down)
    assert up > 0.2
    assert len(bias) == 2
