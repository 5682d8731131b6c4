import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.blend import (
    ADJUSTED,
    FLEET_EVENTS,
    FLEET_RATE,
    HEADS,
    UNIFORM_SHARE,
    Blend,
    arm_heads,
    blended,
    fleet_prior,
    most_harm,
)
from models.scores import log_losses
from wire.arrays import F64
from wire.task import ARMS

CLASSIFIER = pytest.mark.parametrize("classifier", [False, True])


def shares(arm: str, *, classifier: bool) -> int:
    """One over the least uniform prior of an arm's heads."""
    return 1 if arm == "cloud" else 9 if arm == "coda" and classifier else 8


def number_of(arm: str, *, classifier: bool) -> list[int]:
    return [HEADS.index(head) for head in arm_heads(arm, classifier=classifier)]


LABELS = st.lists(st.integers(0, 1), min_size=1, max_size=40)


def probabilities(events: int) -> st.SearchStrategy[F64]:
    return arrays(np.float64, (events, len(HEADS)), elements=st.floats(0, 1))


@st.composite
def events(draw: st.DrawFn) -> tuple[F64, F64]:
    label = np.array(draw(LABELS), np.float64)
    return draw(probabilities(len(label))), label


def play(blend: Blend, head: F64, label: F64) -> tuple[F64, F64]:
    """Predict and charge one event after the other: losses of arms (T, arms) and heads (T, heads)."""
    one, arm, charged = np.array([0]), [], []
    for p, y in zip(head, label, strict=True):
        arm.append(blended(blend.weights(one), p[None])[0])
        charged.append(blend.update(one, p[None], np.array([y]))[0])
    return log_losses(np.broadcast_to(label[:, None], (len(label), len(ARMS))), np.array(arm)), np.array(charged)


@CLASSIFIER
@given(events())
def test_an_arm_costs_at_most_ln_heads_more_than_its_best_head(classifier: bool, played: tuple[F64, F64]) -> None:
    arms, heads = play(Blend(1, classifier=classifier), *played)
    for number, arm in enumerate(ARMS):
        mine = number_of(arm, classifier=classifier)
        assert (
            arms[:, number].sum()
            <= heads[:, mine].sum(axis=0).min() + np.log(shares(arm, classifier=classifier)) + 1e-6
        )


@CLASSIFIER
@given(events(), st.dictionaries(st.sampled_from(HEADS), st.floats(-1000, 0)))
def test_however_sure_the_fleet_is_nobody_pays_more_than_the_floor(
    classifier: bool, played: tuple[F64, F64], prior: dict[str, float]
) -> None:
    arms, heads = play(Blend(1, prior=prior, classifier=classifier), *played)
    for number, arm in enumerate(ARMS):
        mine = number_of(arm, classifier=classifier)
        assert (
            arms[:, number].sum()
            <= heads[:, mine].sum(axis=0).min() + np.log(shares(arm, classifier=classifier) / UNIFORM_SHARE) + 1e-6
        )


@CLASSIFIER
@given(events(), st.floats(0.5, 1))
def test_with_a_discount_the_discounted_regret_stays_bounded_at_every_moment(
    classifier: bool, played: tuple[F64, F64], discount: float
) -> None:
    arms, heads = play(Blend(1, discount=discount, classifier=classifier), *played)
    until = np.arange(len(arms))
    fade = np.tril(discount ** np.maximum(until[:, None] - until[None, :], 0))
    for number, arm in enumerate(ARMS):
        mine = number_of(arm, classifier=classifier)
        regret = fade @ (arms[:, [number]] - heads[:, mine])
        assert (regret <= np.log(shares(arm, classifier=classifier)) / discount + 1e-6).all()
        total = (arms[:, [number]] - heads[:, mine]).sum(axis=0)
        assert (
            total
            <= np.log(shares(arm, classifier=classifier)) / discount * (1 + (1 - discount) * (len(arms) - 1)) + 1e-6
        ).all()


PRIORS = st.lists(st.dictionaries(st.sampled_from(HEADS), st.floats(-20, 0)), min_size=2, max_size=5)


@given(events(), PRIORS, st.floats(0.5, 1))
def test_a_prior_that_changes_on_the_way_costs_no_more_than_it_moves(
    played: tuple[F64, F64], priors: list[dict[str, float]], discount: float
) -> None:
    """The bound for the floored prior, and for each change what it adds to the log-weight of any head at most."""
    classifier = True
    blend, (probability, label), moved = Blend(1, discount=discount, classifier=classifier), played, np.zeros(len(ARMS))
    arms, heads = [], []
    for n, (p, y) in enumerate(zip(probability, label, strict=True)):
        before = blend.prior[0].copy()
        blend.configure(np.array([0]), discount=discount, prior=priors[n % len(priors)], classifier=classifier)
        rise = np.where(np.isfinite(before), blend.prior[0] - np.where(np.isfinite(before), before, 0), 0)
        moved += rise.max(axis=1) if n else 0
        arm, head = play(blend, p[None], y[None])
        arms.append(arm[0])
        heads.append(head[0])
    allowed = most_harm(np.array([len(label)]), discount)[0] + moved + 1e-6
    for number, name in enumerate(ARMS):
        mine = number_of(name, classifier=classifier)
        assert np.sum(arms, axis=0)[number] <= np.sum(heads, axis=0)[mine].min() + allowed[number]


def test_the_blend_follows_the_head_that_is_right_now() -> None:
    blend = Blend(1, discount=0.9)
    local = HEADS.index("local")
    for right in (0.9, 0.1):
        head = np.full((60, len(HEADS)), 0.5)
        head[:, local] = right
        play(blend, head, np.ones(60))
    assert blend.weights(np.array([0]))[0, ARMS.index("local"), local] < 0.1


def test_the_cloud_arm_is_the_cloud_head() -> None:
    p = np.random.default_rng(0).random((3, len(HEADS)))
    np.testing.assert_allclose(blended(Blend(3).weights(np.arange(3)), p)[:, 0], p[:, 0])


def test_every_device_arm_trusts_the_cloud_as_much_before_anything_is_known() -> None:
    weights = Blend(1, prior={"local": -1.0}).weights(np.array([0]))[0], Blend(1).weights(np.array([0]))[0]
    np.testing.assert_allclose(weights[1][1:, HEADS.index("cloud")], 1 / 8)
    assert weights[0][ARMS.index("local"), HEADS.index("local")] < 3 / 8


@CLASSIFIER
def test_heads_from_outside_samples_are_trusted_as_much_together_in_every_arm_before_anything_is_known(
    classifier: bool,
) -> None:
    weights = Blend(1, classifier=classifier).weights(np.array([0]))[0]
    others = [HEADS.index(head) for head in ("cloud", "adjusted", "local", "local-habit")]
    together = 1 - weights[:, others].sum(axis=1)
    assert dict(zip(ARMS, together.round(6).tolist(), strict=True)) == pytest.approx(
        {"cloud": 0, "local": 0} | dict.fromkeys(ARMS[2:], 1 / 2)
    )


@CLASSIFIER
def test_arms_of_matched_samples_trust_random_ones_as_much_before_anything_is_known(classifier: bool) -> None:
    weights = Blend(1, classifier=classifier).weights(np.array([0]))[
        0, [ARMS.index(arm) for arm in ("coarse", "mpda", "coda")]
    ]
    np.testing.assert_allclose(weights[:, HEADS.index("random")], 1 / 6)


@given(events(), st.dictionaries(st.sampled_from(HEADS), st.floats(-20, 0)))
def test_without_a_classifier_coda_is_coarse(played: tuple[F64, F64], prior: dict[str, float]) -> None:
    blend = Blend(1, prior=prior, classifier=True)
    blend.configure(np.array([0]), discount=1.0, prior=prior, classifier=False)
    arms, _ = play(blend, *played)
    np.testing.assert_array_equal(arms[:, ARMS.index("coda")], arms[:, ARMS.index("coarse")])


def test_the_fleet_prior_prefers_what_did_better_elsewhere() -> None:
    excess = {"cloud": 200.0, "local": 100.0, "coda": 0.0}
    prior = fleet_prior(excess, dict.fromkeys(excess, 1000))
    weights = Blend(1, prior=prior, classifier=True).weights(np.array([0]))[0, ARMS.index("coda")]
    assert weights[HEADS.index("coda")] > weights[HEADS.index("local")] > weights[HEADS.index("cloud")] > 0
    assert weights[HEADS.index("mpda")] == 0, "a head of another arm"
    assert fleet_prior({}, {}) == {ADJUSTED: 0}


def test_what_few_say_of_trained_heads_is_not_drowned_by_those_that_train_none() -> None:
    few = fleet_prior({"cloud": 30.0, "coda": -20.0}, {"cloud": 3000, "coda": 300})
    assert few["coda"] == 0 and few[ADJUSTED] == -20 * FLEET_RATE and few["cloud"] == few[ADJUSTED] - 7


@given(st.floats(0, 0.01), st.integers(FLEET_EVENTS * 10, 10**9))
def test_however_many_events_a_fleet_sums_up_heads_as_good_as_each_other_share_the_weight(
    better: float, events: int
) -> None:
    excess = {"coda": -0.6 * events, "coda-habit": (better - 0.6) * events}
    prior = fleet_prior(excess, dict.fromkeys(excess, events))
    assert prior["coda"] == 0 and prior["coda-habit"] == pytest.approx(-FLEET_EVENTS * better, abs=1e-3)


def test_devices_keep_their_own_account_and_new_ones_start_fresh() -> None:
    blend = Blend(2)
    blend.update(np.array([1]), np.full((1, len(HEADS)), 0.3), np.array([1.0]))
    blend.grow(1)
    assert (blend.loss[0] == 0).all() and (blend.loss[1] > 1).all() and len(blend) == 3
    blend.reset(np.array([1]))
    assert (blend.loss == 0).all()


def test_two_events_of_one_device_at_once_are_a_mistake() -> None:
    with pytest.raises(AssertionError, match="one event per device"):
        Blend(1).update(np.array([0, 0]), np.full((2, 5), 0.3), np.array([1.0, 0.0]))
