"""A pool on disk beside what a log alone makes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from index.pool import Pool
from index.spec import PoolSpec
from models.sample import SampleBlock
from streams.faults.convergence import read_logged, read_pooled
from streams.logs.initial_part import initial_samples
from tests.index.samples import KEY_DIM, random_keys
from wire.identity import ModelId


def written(folder: Path) -> Path:
    n = 60
    frame = pl.DataFrame(
        {
            "user_id": [f"u{i % 3}" for i in range(n)],
            "item_id": [f"i{i % 7}" for i in range(n)],
            "category_id": ["c"] * n,
            "event_type": ["view"] * n,
            "label": [i % 2 for i in range(n)],
            "timestamp": [1_000_000 + 1000 * i for i in range(n)],
        }
    )
    frame.write_parquet(path := folder / "log.parquet")
    return path


def pool_of(folder: Path, block: SampleBlock) -> None:
    """A run folder whose pool holds these samples."""
    n, model = len(block), ModelId("a" * 16, 1)
    with Pool.open(folder / "pool" / "shard-0-of-1", PoolSpec(window_count=1000, key_dim=KEY_DIM)) as pool:
        pool.upsert(block.with_encoding(np.zeros(n, np.float32), random_keys(n, seed=0), model))


def test_a_pool_that_was_filled_in_another_order_of_users_is_what_the_log_makes(tmp_path: Path) -> None:
    log = written(tmp_path)
    block = initial_samples(log, 1.0)
    (tmp_path / "pool").mkdir()
    pool_of(tmp_path, block.take(np.argsort(block.user, kind="stable")))
    pooled, logged = read_pooled(tmp_path), read_logged(log)
    assert len(pooled.samples) == 60
    assert pooled.digest == logged.digest and pooled.unlike(logged, set()) == 0


def test_a_sample_that_is_missing_or_remembers_something_else_is_found_unless_its_user_is_passed_over(
    tmp_path: Path,
) -> None:
    log = written(tmp_path)
    block = initial_samples(log, 1.0)
    (tmp_path / "pool").mkdir()
    forgetful = block.history_item.copy()
    forgetful[50] = 0
    pool_of(tmp_path, replace(block, history_item=forgetful).take(slice(0, 59)))
    pooled, logged = read_pooled(tmp_path), read_logged(log)
    assert pooled.unlike(logged, set()) == 2
    assert pooled.unlike(logged, set(block.user[[50, 59]].tolist())) == 0
    assert pooled.digest != logged.digest
