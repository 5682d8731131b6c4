from concurrent.futures import Future

import numpy as np

from models.scores import auc
from models.streamed.boosted import Boosted, train
from models.streamed.features import Seen
from models.streamed.moments import Moments
from streams.base.model import Met, Trees
from streams.base.newest import Newest, features_of, label_of
from streams.base.training import Hand, Job, at_once
from wire.arrays import U8

INITIAL, BLOCK = 4000, 200
TENTH = INITIAL // 10


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


def trees(most: int = INITIAL, hand: Hand = at_once) -> Trees:
    newest = Newest(most)
    for n in range(INITIAL // BLOCK):
        newest.add(met(BLOCK, seed=n).seen)
    trained = train(features_of(newest), label_of(newest), ("item_age", "times"), held=set(), seed=0)
    assert trained is not None
    return Trees(trained, newest, hand)


def found(of: Trees, taken: int) -> float:
    asked = met(2000, seed=999, taken=taken)
    label: U8 = asked.seen.moments.label
    return auc(label, of.opinion(asked).score)


def said(of: Trees) -> list[float]:
    odds: list[float] = of.opinion(met(50, seed=999)).logit.tolist()
    return odds


def test_trees_learn_what_people_have_begun_to_take() -> None:
    model = trees()
    assert found(model, taken=0) > 0.8 and found(model, taken=1) < 0.6
    for n in range(INITIAL // BLOCK):
        model.learn(met(BLOCK, seed=100 + n, taken=1))
    assert found(model, taken=1) > 0.8 and found(model, taken=0) < 0.6, "and forget what nobody takes any more"


class Asked(Future[Boosted]):
    """Does its job when it is asked for the outcome, if not before."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def do(self) -> None:
        self.set_result(at_once(self._job).result())

    def result(self, timeout: float | None = None) -> Boosted:
        if not self.done():
            self.do()
        return super().result(timeout)


class Later:
    """A hand that begins with nothing by itself."""

    def __init__(self) -> None:
        self.given: list[Asked] = []

    def __call__(self, job: Job) -> Asked:
        self.given.append(Asked(job))
        return self.given[-1]


def test_trees_are_made_when_a_tenth_is_new() -> None:
    model = trees()
    before = said(model)
    model.learn(met(TENTH - 1, seed=100, taken=1))
    assert said(model) == before
    model.learn(met(1, seed=101, taken=1))
    assert said(model) != before


def test_those_that_were_predict_while_others_are_made() -> None:
    later = Later()
    model, other = trees(hand=later), trees()
    before = said(model)
    for each in (model, other):
        each.learn(met(TENTH, seed=100, taken=1))
    model.learn(met(1, seed=101))
    assert said(model) == before != said(other)
    later.given[0].do()
    assert said(model) == before, "within a slice nothing changes"
    model.learn(met(1, seed=102))
    assert said(model) == said(other)


def test_they_are_waited_for_where_the_next_are_due() -> None:
    later = Later()
    model, other = trees(hand=later), trees()
    for each in (model, other):
        each.learn(met(TENTH, seed=100, taken=1))
    model.learn(met(TENTH, seed=101, taken=1))
    assert said(model) == said(other) and len(later.given) == 2, "the next ones are begun"


def test_trees_stay_while_there_is_one_label_alone() -> None:
    model = trees(most=INITIAL // 2)
    for seed in range(2):
        model.learn(met(INITIAL // 2, seed=100 + seed, only=1))
    before = said(model)
    assert np.std(before) > 0.1
    for seed in range(2):
        model.learn(met(INITIAL // 2, seed=200 + seed, only=0))
    assert said(model) == before


def test_who_goes_on_while_trees_are_made_makes_the_same_though_what_they_learn_from_has_gone_since() -> None:
    later = Later()
    model = trees(hand=later)
    model.learn(met(TENTH, seed=100, taken=1))
    model.learn(met(TENTH // 2, seed=101, taken=1))
    blocks, newest, again = (
        {number: Seen.restore(block) for number, block in model.blocks().items()},
        Newest(INITIAL),
        Later(),
    )
    assert len(blocks) > INITIAL // BLOCK - 1, "blocks that are only trained on are kept"
    newest.restore(blocks)
    other = Trees.restore(model.state(), blocks, newest, again)
    assert said(other) == said(model)
    for each, hand in ((model, later), (other, again)):
        hand.given[0].do()
        each.learn(met(1, seed=102))
    assert said(other) == said(model) != said(trees())
    assert [*other.blocks()] == [*model.blocks()] and len(other.blocks()) < len(blocks), "and then they go"
