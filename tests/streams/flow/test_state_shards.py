from pathlib import Path

import pytest

from streams.flow.state_shards import StateShards
from wire.errors import InputError


def test_opens_each_shard_once_and_in_a_folder_of_its_own(tmp_path: Path) -> None:
    with StateShards(tmp_path, 2) as shards:
        assert shards.of(1) is shards.of(1) is not shards.of(0)
    with StateShards(tmp_path, 2) as shards:  # closed before, so not locked now
        assert list(shards.of(0).users.resume(None)) == []
    assert sorted(place.name for place in tmp_path.iterdir()) == ["states-0-of-2", "states-1-of-2"]


def test_another_number_of_shards_is_refused(tmp_path: Path) -> None:
    with StateShards(tmp_path, 2) as shards:
        shards.of(0)
    with pytest.raises(InputError, match="is of 2 shards, and cannot be used with 3: give --shards as before"):
        StateShards(tmp_path, 3)
