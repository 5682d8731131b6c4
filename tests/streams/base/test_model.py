import numpy as np

from models.scores import auc
from models.streamed.boosted import train
from models.streamed.features import Seen
from models.streamed.moments import Moments
from streams.base.model import Met, Trees
from streams.base.newest import Newest
from wire.arrays import U8

INITIAL, BLOCK = 4000, 200


def met(n: int, seed: int, *, taken: int = 0, only: int | None = None) -> Met:
    """Whoever has more of the feature `taken` takes more, or all are labelled `only`."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 2)).astype(np.float32)
    label = (rng.random(n) < 1 / (1 + np.exp(-3 * features[:, taken]))).astype(np.uint8)
    if only is not None:
        label[:] = only
    keys = np.ones(n, np.uint32)
    moments = Moments(keys.astype(np.uint64), keys, keys, label, np.arange(n))
    return Met(Seen(moments, features, keys, keys[:, None]), np.zeros((n, 0), np.int64), {})


def trees(most: int = INITIAL) -> Trees:
    newest = Newest(most)
    for n in range(INITIAL // BLOCK):
        newest.add(met(BLOCK, seed=n).seen)
    trained = train(newest.features, newest.label, ("item_age", "times"), held=set(), seed=0)
    assert trained is not None
    return Trees(trained, newest)


def found(of: Trees, taken: int) -> float:
    asked = met(2000, seed=999, taken=taken)
    label: U8 = asked.seen.moments.label
    return auc(label, of.opinion(asked).score)


def test_trees_learn_what_people_have_begun_to_take() -> None:
    model = trees()
    assert found(model, taken=0) > 0.8 and found(model, taken=1) < 0.6
    for n in range(INITIAL // BLOCK):
        model.learn(met(BLOCK, seed=100 + n, taken=1))
    assert found(model, taken=1) > 0.8 and found(model, taken=0) < 0.6, "and forget what nobody takes any more"


def test_trees_wait_until_a_tenth_is_new() -> None:
    model, asked = trees(), met(50, seed=999)
    before = model.opinion(asked).logit.tolist()
    model.learn(met(INITIAL // 10 - 1, seed=100, taken=1))
    assert model.opinion(asked).logit.tolist() == before
    model.learn(met(1, seed=101, taken=1))
    assert model.opinion(asked).logit.tolist() != before


def test_trees_stay_while_there_is_one_label_alone() -> None:
    model, asked = trees(most=INITIAL // 2), met(50, seed=999)
    model.learn(met(INITIAL // 2, seed=100, only=1))
    before = model.opinion(asked).logit.tolist()
    assert np.std(before) > 0.1
    model.learn(met(INITIAL // 2, seed=101, only=0))
    assert model.opinion(asked).logit.tolist() == before
