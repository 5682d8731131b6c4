from functools import cache

import numpy as np
import pytest

from models.cloud_model import DIM
from models.head_fit import HeadRows, fit_heads
from models.prior_variance import KINDS, LEAST, REGRESSION, clipped, learned_variances
from wire.arrays import F32, F64, I64, U32
from wire.task import PLAIN, Spread

USERS, EVENTS, EVERY = 600, 60, 15
CATEGORIES, ITEMS = 12, 120
EXPECTED = 0.3  # by the cloud, of everything
RECIPE = np.array([getattr(PLAIN.own, kind) for kind in KINDS])


@cache
def sums(category_variance: float, first: float) -> F64:
    """What every device sums up (USERS, width) where users differ by category alone: heads are made anew every `EVERY`
    events, with what the fleet has learned by then, and at `first` with so many times the recipe's variances."""
    rng = np.random.default_rng(0)
    user: I64 = np.repeat(np.arange(USERS), EVENTS)
    item: U32 = rng.integers(1, ITEMS, len(user)).astype(np.uint32)
    category = item % CATEGORIES
    weight = rng.normal(0, np.sqrt(category_variance), (USERS, CATEGORIES))
    logit = np.log(EXPECTED / (1 - EXPECTED)) + weight[user, category]
    label = (rng.random(len(user)) < 1 / (1 + np.exp(-logit))).astype(np.uint8)
    vectors: F32 = rng.normal(0, DIM**-0.5, (ITEMS, DIM)).astype(np.float32)
    cloud = np.full((len(user), 1), np.log(EXPECTED / (1 - EXPECTED)), np.float32)
    rows = HeadRows(user, vectors[item], label, item, category, cloud, np.ones_like(cloud))
    total = np.zeros((USERS, REGRESSION.width))
    factors, place = np.full(len(KINDS), first), np.arange(len(user)) % EVENTS
    for begins in range(EVERY, EVENTS, EVERY):
        spread = dict(zip(KINDS, (factors * RECIPE).tolist(), strict=True))
        heads = fit_heads(rows.take(place < begins), USERS, [Spread(user_bias=PLAIN.own.user_bias, **spread)])
        at = np.flatnonzero((place >= begins) & (place < begins + EVERY))
        columns = heads.parts(user[at], vectors[item[at]], item[at], category[at]) / factors
        evidence = REGRESSION.evidence(columns, np.full(len(at), EXPECTED), label[at].astype(np.float64))
        total += [REGRESSION.within(each.sum(axis=0)) for each in evidence.reshape(USERS, EVERY, -1)]
        factors = np.array(list(learned(total).values()))
    return total


def learned(equations: F64) -> dict[str, float]:
    """What the sums of all these devices say (devices, width)."""
    return learned_variances(np.sum([clipped(each) for each in equations], axis=0))


@pytest.mark.parametrize("truth", [0.2, 0.5])
@pytest.mark.parametrize("first", [0.1, 5.0])
def test_a_planted_variance_is_recovered_whatever_was_believed_first(truth: float, first: float) -> None:
    factors = learned(sums(truth, first))
    assert factors["category"] == pytest.approx(truth / PLAIN.own.category, rel=0.35)
    assert factors["item"] < 0.6 and factors["taste"] < 0.6, "by these users do not differ"


def test_where_users_do_not_differ_all_variances_fall() -> None:
    factors = learned(sums(0.0, 1.0)).values()
    assert max(factors) < 0.5 and min(factors) == LEAST


def test_a_fleet_that_says_nothing_keeps_its_recipes() -> None:
    assert set(learned_variances(np.zeros(REGRESSION.width)).values()) == {1.0}


@pytest.mark.parametrize("gram", [0.0, 1e-6, 1.0, 1e9, -1e9])
@pytest.mark.parametrize("pull", [1e9, -1e9])
def test_a_device_that_lies_does_not_move_the_fleet(gram: float, pull: float) -> None:
    honest = sums(0.5, 1.0)
    lie = REGRESSION.folded(np.full((3, 3), gram), np.full(3, pull))
    before, after = learned(honest), learned(np.vstack([honest, lie]))
    assert max(abs(after[kind] - before[kind]) for kind in KINDS) < 0.3
