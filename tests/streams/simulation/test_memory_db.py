"""A pool on the simulated disk is a pool; a power cut takes what was not synced, the newest first."""

import numpy as np
import pytest

from index.pool import Pool
from index.spec import PoolSpec
from models.cloud_model import random_model
from models.sample import SampleBlock
from streams.simulation.flow import opened as store_on
from streams.simulation.memory_db import Disk
from tests.models.samples import tasteful_samples
from wire.errors import PoolError
from wire.ids import item_keys


def opened(disk: Disk) -> Pool:
    return Pool(store_on(disk, "shard", PoolSpec(window_count=30)))


@pytest.fixture(scope="module")
def samples() -> SampleBlock:
    names = item_keys(["a", "b"])
    return random_model(names, names, seed=1).encode_block(tasteful_samples(60, 1))


def test_a_power_cut_takes_the_newest_of_what_was_not_synced(samples: SampleBlock) -> None:
    disk = Disk()
    pool = opened(disk)
    for n in range(4):
        pool.upsert(samples.take(np.array([n])))
        if n == 1:
            synced = pool.sync()
    disk.power_cut(0.5)
    again = opened(disk)
    again.expect(synced)
    assert len(again) == 3


def test_a_pool_that_lost_what_was_synced_says_so(samples: SampleBlock) -> None:
    pool = opened(Disk())
    pool.upsert(samples)
    with pytest.raises(PoolError, match="has lost what it held"):
        opened(Disk()).expect(pool.sync() + 1)


def test_what_is_read_is_what_was_there_when_the_reading_began(samples: SampleBlock) -> None:
    pool = opened(Disk())
    pool.upsert(samples.take(np.arange(20)))
    read = pool.store.read()
    pool.upsert(samples.take(np.arange(20, 60)))
    pool.store.evict()
    assert [len(block) for block in read] == [20]


def test_a_full_disk_refuses_and_nothing_is_half_written(samples: SampleBlock) -> None:
    disk = Disk()
    pool = opened(disk)
    disk.full = True
    with pytest.raises(PoolError, match="No space left"):
        pool.upsert(samples)
    disk.full = False
    again = opened(disk)
    again.upsert(samples)
    assert len(again) == 30
    assert len(opened(disk)) == 30
