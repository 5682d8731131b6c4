from pathlib import Path

import pytest

from index.spec import PoolSpec
from streams.flow.pool_shards import PoolShards
from tests.index.pools import small
from tests.index.samples import samples
from tests.index.test_shadow import by
from wire.errors import PoolError
from wire.identity import NO_MODEL


def test_opens_each_shard_once_and_in_a_folder_of_its_own(tmp_path: Path) -> None:
    with PoolShards(tmp_path / "pool", 2, PoolSpec()) as shards:
        assert shards.live() == {}
        assert shards.pool(1) is shards.pool(1)
        assert shards.pool(0) is not shards.pool(1)
        assert shards.live() == {0: 0, 1: 0}
    with PoolShards(tmp_path / "pool", 2, PoolSpec()) as shards:  # closed before, so not locked now
        assert len(shards.pool(0)) == 0


def test_another_number_of_shards_is_refused(tmp_path: Path) -> None:
    with PoolShards(tmp_path, 2, PoolSpec()) as shards:
        shards.pool(0)
    with pytest.raises(PoolError, match=r"shard-0-of-2.*--shards"):
        PoolShards(tmp_path, 3, PoolSpec())


def test_what_answers_is_the_model_of_all_shards_or_of_none(tmp_path: Path) -> None:
    with PoolShards(tmp_path, 2, small()) as shards:
        assert shards.model() == NO_MODEL
        shards.pool(0).upsert(samples([100]))
        assert shards.model().version == 1
        shards.pool(1).upsert(samples([100], version=2))
        assert shards.model() == NO_MODEL
        shards.pool(0).reencode(by(2))
        assert shards.model().version == 2


def test_there_is_work_while_any_shard_is_between_two_models(tmp_path: Path) -> None:
    with PoolShards(tmp_path, 2, PoolSpec()) as shards:
        pools = [shards.pool(number) for number in range(2)]
        assert not shards.in_shadow()
        pools[1].begin_shadow(lambda block: block)
        assert shards.in_shadow()
        assert pools[1].step_shadow() and not shards.in_shadow()
    with PoolShards(tmp_path, 2, PoolSpec()) as shards:
        shards.pool(1).begin_shadow(lambda block: block)  # what it reads does not keep its folder locked
    with PoolShards(tmp_path, 2, PoolSpec()) as shards:
        assert not shards.pool(1).in_shadow
