import numpy as np
import pytest

from device_sim.outside import Outside, random_and_coarse, sieved
from device_sim.own import OwnRows
from models.arrays import F32
from models.cloud_model import DIM
from tests.device_sim.world import TASK, batch, cloud_model

MODEL = cloud_model()


def own_rows(features: F32) -> OwnRows:
    n = len(features)
    none = np.zeros(n, np.uint32)
    return OwnRows(np.zeros(n, np.int64), features, np.arange(n, dtype=np.uint8) % 2, none, none, np.zeros(n, np.bool_))


def outside(features: F32) -> Outside:
    n = len(features)
    none = np.zeros(n, np.uint32)
    return Outside(
        np.zeros(n, np.int64), features, np.arange(n, dtype=np.uint8) % 2, np.ones(n, np.float32), none, none
    )


def test_devices_without_a_batch_have_no_rows() -> None:
    random, coarse = random_and_coarse([None, batch("b", 1), None], MODEL, with_random=True)
    assert set(random.device.tolist()) == set(coarse.device.tolist()) == {1}
    random, coarse = random_and_coarse([None], MODEL, with_random=True)
    assert len(random) == len(coarse) == 0
    assert len(sieved(coarse, own_rows(np.zeros((4, 3 * DIM), np.float32)), MODEL, TASK, 0)) == 0


def test_without_the_random_arm_all_matched_samples_count() -> None:
    random, coarse = random_and_coarse([batch("b", 1, matched=12, random=5)], MODEL, with_random=False)
    assert (len(random), len(coarse)) == (0, 12)


def test_fewer_random_samples_thin_the_matched_ones_out_evenly() -> None:
    one = batch("b", 1, matched=12, random=4)
    _, coarse = random_and_coarse([one], MODEL, with_random=True)
    assert coarse.item.tolist() == one.matched.item[[0, 4, 7, 11]].tolist()


def test_the_sieve_prefers_what_looks_like_the_users_own() -> None:
    rng = np.random.default_rng(0)
    here, there = rng.normal(1, 0.3, (80, 3 * DIM)), rng.normal(-1, 0.3, (80, 3 * DIM))
    mixed = outside(np.concatenate([here[40:], there]).astype(np.float32))
    weight = sieved(mixed, own_rows(here[:40].astype(np.float32)), MODEL, TASK, 0).weight
    alike, unlike = weight[:40], weight[40:]
    assert alike.mean() > 2 * unlike.mean()
    assert 0 < unlike.mean() < 0.6
    assert weight.mean() == pytest.approx(1), "together they count as much as unweighed ones"
