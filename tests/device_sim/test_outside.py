from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sim.outside import STEPS, Outside, accepted_by_auc, random_and_coarse, reweighted
from device_sim.own import OwnRows
from models.cloud_model import DIM
from tests.device_sim.world import batch, cloud_model
from wire.arrays import F32, F64, I64
from wire.candidates import CandidateBatch
from wire.task import CLASSIFIER_STEPS, PLAIN, Task

MODEL = cloud_model()
REWEIGHTING = Task(task_version=1, classifier_steps=CLASSIFIER_STEPS)
NONE: dict[str, float] = {}


def own_rows(device: I64, logit: F64 | F32, item: I64 | None = None, label: I64 | None = None) -> OwnRows:
    """Samples of these devices: every other one is positive, unless `label` says otherwise."""
    o = outside(device, logit, item, label)
    return OwnRows(o.device, o.x, o.logit, o.label, o.item, o.category, np.zeros(len(o), np.bool_))


def outside(device: I64, logit: F64 | F32, item: I64 | None = None, label: I64 | None = None) -> Outside:
    n = len(device)
    return Outside(
        device,
        np.zeros((n, DIM), np.float32),
        logit.astype(np.float32),
        np.arange(n, dtype=np.uint8) % 2 if label is None else label.astype(np.uint8),
        np.ones(n, np.float32),
        np.zeros(n, np.uint32) if item is None else item.astype(np.uint32),
        np.zeros(n, np.uint32),
    )


def test_devices_without_a_batch_have_no_rows() -> None:
    random, coarse = random_and_coarse([None, batch("b", 1), None], MODEL, NONE)
    assert set(random.device.tolist()) == set(coarse.device.tolist()) == {1}
    random, coarse = random_and_coarse([None], MODEL, NONE)
    assert len(random) == len(coarse) == 0
    own = own_rows(np.zeros(4, np.int64), np.zeros(4))
    assert [len(rows) for rows in reweighted(coarse, own, 1, REWEIGHTING, 0)] == [0, 0]
    assert len(accepted_by_auc(coarse, own, 1, PLAIN)) == 0


def test_rows_carry_what_the_cloud_model_makes_of_them() -> None:
    one = batch("b", 1)
    _, coarse = random_and_coarse([one], MODEL, NONE)
    assert coarse.logit.tolist() == one.matched.logit.tolist()
    vectors = MODEL.item_vectors(one.matched.item, one.matched.category)
    np.testing.assert_allclose(coarse.x, MODEL.standardised(vectors), atol=1e-5)
    assert coarse.label.tolist() == one.matched.label.tolist()


def test_what_other_users_took_again_is_expected() -> None:
    one = batch("b", 1)
    again = random_and_coarse([one], MODEL, {"taken": 1.5})
    for rows, candidates in zip(again, (one.random, one.matched), strict=True):
        expected = candidates.logit.astype(np.float32) + 1.5 * (candidates.times > 0)
        np.testing.assert_allclose(rows.logit, expected, atol=1e-6)


def test_random_rows_weigh_alike() -> None:
    random, _ = random_and_coarse([batch("b", 1), batch("c", 2)], MODEL, NONE)
    assert set(random.weight.tolist()) == {1}


Told = list[tuple[int, float]]


def told(matched: Told) -> CandidateBatch:
    """A batch of matched samples of these labels and similarities, and no random ones."""
    one = batch("b", 1, matched=len(matched), random=0)
    label, similarity = np.array([row[0] for row in matched], np.uint8), np.array([row[1] for row in matched])
    return replace(one, matched=replace(one.matched, label=label), similarity=similarity.astype(np.float16))


def weights(*devices: Told | None) -> F32:
    _, coarse = random_and_coarse([None if d is None else told(d) for d in devices], MODEL, NONE)
    return coarse.weight


TOLD = st.lists(st.tuples(st.sampled_from([0, 1]), st.floats(0.0625, 1, width=16)), max_size=8)


@given(st.lists(st.none() | TOLD, min_size=1, max_size=3))
def test_matched_rows_weigh_by_the_square_of_similarity_and_1_on_average_for_their_label(
    devices: list[Told | None],
) -> None:
    wanted = []
    for matched in devices:
        mean = {which: np.mean([s**2 for label, s in matched or [] if label == which] or [1]) for which in (0, 1)}
        wanted += [s**2 / mean[label] for label, s in matched or []]
    assert weights(*devices).tolist() == pytest.approx(wanted, rel=1e-5)


def test_a_sample_that_points_away_counts_next_to_nothing() -> None:
    near, away, far_away, across, other_label = weights([(1, 0.8), (1, -0.1), (1, -0.8), (1, 0.0), (0, -0.5)])
    assert 0 < away == far_away == across < near / 1000
    assert other_label == 1, "where nothing is similar, nothing is more so"


def test_thinned_out_rows_keep_their_own_similarity() -> None:
    one = batch("b", 1, matched=12, random=4)
    one.matched.label[:] = 1
    _, coarse = random_and_coarse([one], MODEL, NONE)
    square = one.similarity[[0, 4, 7, 11]].astype(np.float64) ** 2
    np.testing.assert_allclose(coarse.weight, square / square.mean(), rtol=1e-5)


def test_without_random_samples_all_matched_ones_count() -> None:
    random, coarse = random_and_coarse([batch("b", 1, matched=12, random=0)], MODEL, NONE)
    assert (len(random), len(coarse)) == (0, 12)


def test_fewer_random_samples_thin_the_matched_ones_out_evenly() -> None:
    one = batch("b", 1, matched=12, random=4)
    _, coarse = random_and_coarse([one], MODEL, NONE)
    assert coarse.item.tolist() == one.matched.item[[0, 4, 7, 11]].tolist()


def unlike_the_others(rows: int, seed: int = 0) -> tuple[F64, F64]:
    """Cloud logits of a device whose positives surprise the cloud, and of 2·`rows` outside ones, half of them alike."""
    rng = np.random.default_rng(seed)
    own, alike, expected = rng.normal(-2, 0.5, (rows, 1)), rng.normal(-2, 0.5, (rows, 1)), rng.normal(2, 0.5, (rows, 1))
    sign = np.where(np.arange(rows) % 2, 1, -1)
    return sign * own[:, 0], np.concatenate([sign * alike[:, 0], sign * expected[:, 0]])


def test_samples_such_as_the_device_has_itself_count_less_in_one_reweighting_and_more_in_the_other() -> None:
    logit, others = unlike_the_others(80)
    coarse = outside(np.zeros(160, np.int64), others)
    least, most = reweighted(coarse, own_rows(np.zeros(80, np.int64), logit), 1, REWEIGHTING, 0)
    assert least.weight[80:].mean() > 1.4 * least.weight[:80].mean() and least.weight.min() > 0
    assert most.weight[:80].mean() > 2 * most.weight[80:].mean() and most.weight.min() > 0


def test_weights_are_1_on_average_for_each_label_of_each_device() -> None:
    logit, others = unlike_the_others(60)
    own = own_rows(np.repeat([0, 1], 60), np.concatenate([logit, -logit / 2]))
    keep = np.random.default_rng(1).random(240) < 0.7  # not as many of either label, nor of either device
    coarse = outside(np.repeat([0, 1], 120), np.tile(others, 2)).take(keep)
    for rows in reweighted(coarse, own, 2, REWEIGHTING, 0):
        assert rows.weight.std() > 0.05
        for device in (0, 1):
            for label in (0, 1):
                mine = (coarse.device == device) & (coarse.label == label)
                assert rows.weight[mine].mean() == pytest.approx(1, abs=1e-5)


def test_reweighting_is_on_top_of_similarity() -> None:
    logit, others = unlike_the_others(60)
    own, coarse = own_rows(np.zeros(60, np.int64), logit), outside(np.zeros(120, np.int64), others)
    similar = np.random.default_rng(2).uniform(0.2, 1, 120)
    sides = reweighted(coarse, own, 1, REWEIGHTING, 0), reweighted(coarse.weighed(similar), own, 1, REWEIGHTING, 0)
    for alike, weighed in zip(*sides, strict=True):
        np.testing.assert_allclose(weighed.weight, alike.weighed(alike.weight * similar).weight, rtol=1e-5)


def test_a_device_with_too_few_own_samples_weighs_nothing_differently() -> None:
    logit, others = unlike_the_others(40)
    own = own_rows(np.repeat([0, 2], [40, 3]), np.concatenate([logit, logit[:3]]))  # device 1 has none, 2 has three
    coarse = outside(np.repeat([0, 1, 2], 80), np.tile(others, 3))
    for rows in reweighted(coarse, own, 3, REWEIGHTING, 0):
        assert rows.weight[:80].std() > 0.05
        assert set(rows.weight[80:].tolist()) == {1}
    for rows in reweighted(coarse, own_rows(np.zeros(0, np.int64), np.zeros(0)), 3, REWEIGHTING, 0):
        assert set(rows.weight.tolist()) == {1}


def parts(right: list[bool], rows: int = 8) -> tuple[I64, I64]:
    """Items and labels of `STEPS` parts, `rows` of each label in each: part n knows about items 2n and 2n + 1.

    Where it is `right`, as the device does it takes the odd one and leaves the even one.
    """
    item = np.concatenate([np.repeat([2 * n, 2 * n + 1], rows) for n in range(STEPS)])
    truth = np.repeat(right, 2 * rows)
    return item, np.where(truth, item % 2, 1 - item % 2)


@pytest.mark.parametrize("right", [[True] * 4, [True, False, True, False], [False, True, False, True], [False] * 4])
def test_parts_that_rank_own_samples_worse_are_taken_back(right: list[bool]) -> None:
    item, label = parts(right)
    own_item = np.arange(2 * STEPS)
    rng = np.random.default_rng(0)
    own = own_rows(np.zeros(len(own_item), np.int64), rng.normal(0, 0.1, len(own_item)), own_item, own_item % 2)
    coarse = outside(np.zeros(len(item), np.int64), np.zeros(len(item)), item, label)
    weight = accepted_by_auc(coarse, own, 1, PLAIN).weight
    assert weight.reshape(STEPS, -1).tolist() == [[float(r)] * 16 for r in right]


def test_each_device_takes_back_its_own_parts_and_one_without_a_batch_has_none() -> None:
    (item, label), (_, wrong) = parts([True] * 4), parts([False] * 4)
    own_item = np.tile(np.arange(2 * STEPS), 3)
    own = own_rows(np.repeat([0, 1, 2], 2 * STEPS), np.zeros(len(own_item)), own_item, own_item % 2)
    n = len(item)
    coarse = outside(np.repeat([0, 2], n), np.zeros(2 * n), np.tile(item, 2), np.concatenate([label, wrong]))
    kept = accepted_by_auc(coarse, own, 3, PLAIN)
    assert (kept.weight[:n] == 1).all() and (kept.weight[n:] == 0).all()
    assert set(kept.device.tolist()) == {0, 2}, "who takes all back still has a head, of own samples alone"


@pytest.mark.parametrize("seed", range(5))
def test_samples_that_rank_alike_but_for_rounding_speak_against_no_part(seed: int) -> None:
    """In which order sums are taken, and so which of two equal ones is a hair above, is up to who trains beside."""
    item, label = parts([True] * STEPS)
    own_item = np.zeros(20, np.int64)
    hair = np.random.default_rng(seed).normal(0, 1e-7, len(own_item))
    own = own_rows(np.zeros(len(own_item), np.int64), hair, own_item)
    coarse = outside(np.zeros(len(item), np.int64), np.zeros(len(item)), item, label)
    assert (accepted_by_auc(coarse, own, 1, PLAIN).weight == 1).all()
