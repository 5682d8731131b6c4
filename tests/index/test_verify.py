"""A check that could not fail would be worth nothing."""

from pathlib import Path

import numpy as np

from index.pool import Pool
from index.verify import stats, verify
from tests.index.pools import small
from tests.index.samples import samples


def test_a_row_that_differs_is_found(tmp_path: Path) -> None:
    with Pool.open(tmp_path / "pool", small()) as pool:
        pool.upsert(samples(range(100, 160), labels=[1] * 60))
        assert verify(pool, queries=10, k=5, seed=0).consistent
        compared, row = pool.memory._compared[1], np.array([7])
        compared._codes._vector.values[compared.nodes(row, 0, 60)] *= -1
        pool.memory.table.user[9] += 1
        found = verify(pool, queries=10, k=5, seed=0)
        assert found.rows_that_differ == 2 and not found.consistent


def test_a_row_that_memory_lacks_is_found(tmp_path: Path) -> None:
    with Pool.open(tmp_path / "pool", small()) as pool:
        pool.upsert(samples(range(100, 160)))
        pool.memory.table.live[59] = False
        assert verify(pool, queries=10, k=5, seed=0).rows_that_differ == 1


def test_an_empty_pool_is_fine(tmp_path: Path) -> None:
    with Pool.open(tmp_path / "pool", small()) as pool:
        found = verify(pool, queries=10, k=5, seed=0)
        assert found.consistent and found.recall == 1 and found.queries == 0
        assert stats(pool)["samples"] == 0


def test_stats_say_what_is_there(tmp_path: Path) -> None:
    with Pool.open(tmp_path / "pool", small(window_count=50)) as pool:
        pool.upsert(samples(range(100, 160), labels=[0, 1, 1] * 20))
        numbers = stats(pool)
        assert (numbers["samples"], numbers["model_version"]) == (50, 1)
        assert (numbers["oldest_timestamp"], numbers["newest_timestamp"]) == (110, 159)
        assert numbers["samples_by_label"] == {"0": 16, "1": 34}
