"""The pool on disk: what is not a pool, what is damaged, what was cut off."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import msgspec
import numpy as np
import pytest
from rocksdict import Options, Rdict

from index.owner import Owner
from index.pool import Pool
from index.rebuild import rebuild_on_disk
from index.rows import META
from index.spec import PoolSpec
from index.store import FORMAT
from index.verify import verify
from models.sample import SampleBlock
from tests.index.pools import small
from tests.index.samples import KEY_DIM, reencoded, samples
from wire.errors import PoolError
from wire.identity import ModelId

N = 4000


def made(path: Path, n: int = 60) -> Path:
    with Pool.open(path, small(window_count=N, segment_rows=1000)) as pool:
        pool.upsert(samples(range(100, 100 + n)))
        pool.store.flush()
    return path


def raw(path: Path) -> Rdict:
    return Rdict(str(path), Options(raw_mode=True))


def rebuild(path: Path) -> tuple[int, int]:
    rebuilt = rebuild_on_disk(path, lambda _done, _all: None)
    return rebuilt.kept, rebuilt.lost


def test_without_settings_it_opens_as_it_was_last(tmp_path: Path) -> None:
    made(tmp_path / "pool")
    with Pool.open(tmp_path / "pool", small(window_count=50)) as pool:
        assert len(pool) == 50
    with Pool.open(tmp_path / "pool") as pool:
        assert pool.spec == small(window_count=50) and len(pool) == 50


def test_looking_at_a_path_makes_nothing_there(tmp_path: Path) -> None:
    for read_only in (False, True):
        with pytest.raises(PoolError, match=r"is not a pool: give the directory of one$"):
            Pool.open(tmp_path / "nowhere", read_only=read_only)
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(PoolError, match="is not a pool: give the directory of one or an empty one for a new pool"):
        Pool.open(tmp_path, small())
    assert [f.name for f in tmp_path.iterdir()] == ["notes.txt"]


def test_another_database_is_not_a_pool(tmp_path: Path) -> None:
    db = raw(tmp_path / "other")
    db[b"key"] = b"value"
    db.close()
    for spec in (None, small()):
        with pytest.raises(PoolError, match="a database but not a pool"):
            Pool.open(tmp_path / "other", spec)


def test_another_format_version_says_which(tmp_path: Path) -> None:
    db = raw(made(tmp_path / "pool"))
    meta = msgspec.json.decode(db[META] or b"")
    db[META] = msgspec.json.encode(meta | {"format": 99, "something": "new"})
    db.close()
    with pytest.raises(PoolError, match=f"has format 99, this program reads {FORMAT}: delete it and"):
        Pool.open(tmp_path / "pool", small())


@pytest.mark.parametrize("settings", [b"\xff", b"{}", b"[]", b'{"format": %d, "spec": 3}' % FORMAT])
def test_unreadable_settings_say_so(tmp_path: Path, settings: bytes) -> None:
    db = raw(made(tmp_path / "pool"))
    db[META] = settings
    db.close()
    with pytest.raises(PoolError, match="unreadable settings"):
        Pool.open(tmp_path / "pool", small())


def test_another_width_says_which(tmp_path: Path) -> None:
    made(tmp_path / "pool")
    with pytest.raises(PoolError, match=f"match keys of width {KEY_DIM}, not 96: use another path"):
        Pool.open(tmp_path / "pool", PoolSpec())


def zero_out(path: Path, pattern: str, at: int) -> None:
    for file in path.glob(pattern):
        content = bytearray(file.read_bytes())
        content[at : at + 50] = bytes(50)
        file.write_bytes(content)


def overwrite(file: Path) -> None:
    file.write_text("garbage\n")


def shorten_a_row(path: Path) -> None:
    db = raw(path)
    key = next(iter(db.keys(from_key=b"r")))
    db[key] = bytes(db[key] or b"")[:-1]
    db.close()


def drop_a_vector(path: Path) -> None:
    db = raw(path)
    del db[next(iter(db.keys(from_key=b"v")))]
    db.close()


DAMAGE: dict[str, Callable[[Path], None]] = {
    "current": lambda path: overwrite(path / "CURRENT"),
    "manifest": lambda path: zero_out(path, "MANIFEST*", 10),
    "data": lambda path: zero_out(path, "*.sst", 100_000),
    "row": shorten_a_row,
    "vector gone": drop_a_vector,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_pool_says_so_and_a_rebuild_keeps_what_can_be_read(tmp_path: Path, damage: str) -> None:
    path = made(tmp_path / "pool", n=N)
    DAMAGE[damage](path)
    with pytest.raises(PoolError, match=r"(damaged|cannot be opened).*run `coda pool rebuild"):
        Pool.open(path, small(window_count=N))
    kept, lost = rebuild(path)
    assert kept + lost == N and lost < N / 10
    with Pool.open(path) as pool:
        assert len(pool) == kept and verify(pool, queries=10, k=5, seed=0).consistent
        assert pool.upsert(samples([9000], keys=[99_999])).inserted.all()
    assert [f.name for f in tmp_path.iterdir()] == ["pool"]


def test_a_rebuild_keeps_everything_of_a_pool_that_is_whole(tmp_path: Path) -> None:
    path = made(tmp_path / "pool")
    assert rebuild(path) == (60, 0)
    with Pool.open(path) as pool:
        assert pool.upsert(samples(range(100, 160))).duplicate.all()


def test_the_pool_of_another_shard_is_refused_also_when_it_was_rebuilt(tmp_path: Path) -> None:
    path = made(tmp_path / "pool")
    with Pool.open(path) as pool:
        pool.work_for(Owner(1, 2, "a"), pool.sync())
    rebuild(path)
    for writes in (0, 1):
        with Pool.open(path) as pool, pytest.raises(PoolError, match=r"is that of shard 1 of 2: put each folder back"):
            pool.work_for(Owner(0, 2, "a"), writes)
    with Pool.open(path) as pool:
        pool.work_for(Owner(1, 2, "a"), pool.sync())


def test_the_pool_of_another_state_is_refused_by_one_that_has_begun(tmp_path: Path) -> None:
    with Pool.open(made(tmp_path / "pool")) as pool:
        pool.work_for(Owner(0, 1, "a"), 0)
        with pytest.raises(PoolError, match=r"is that of another state: put each folder back"):
            pool.work_for(Owner(0, 1, "b"), 1)
        pool.work_for(Owner(0, 1, "b"), 0)  # `a` was deleted
        pool.work_for(Owner(0, 1, "b"), pool.sync())


def test_a_rebuild_that_was_stopped_between_its_renames_is_picked_up(tmp_path: Path) -> None:
    path = made(tmp_path / "pool")
    (tmp_path / "pool.rebuilding").mkdir()
    path.rename(tmp_path / "pool.replaced")
    assert rebuild(path) == (60, 0)


def test_what_is_read_is_what_was_there_when_the_reading_began(tmp_path: Path) -> None:
    with Pool.open(tmp_path / "pool", small(window_count=64)) as pool:
        pool.upsert(samples(range(100, 160)))
        read = pool.store.read(rows=25)
        pool.upsert(samples(range(200, 260), keys=range(200, 260)))
        pool.store.evict()
        assert [block.timestamp.tolist() for block in read] == [
            list(range(first, min(first + 25, 160))) for first in (100, 125, 150)
        ]


@pytest.mark.parametrize("rows", [1, 20, 59, 60, 61])
def test_whatever_the_size_of_its_blocks_what_is_read_is_all_of_the_window(tmp_path: Path, rows: int) -> None:
    with Pool.open(made(tmp_path / "pool")) as pool:
        pool.store.write_encoded(reencoded(samples(range(100, 160)), ModelId("", 2)))
        encoded, plain = list(pool.store.read(rows)), list(pool.store.read_payload(rows))
        assert [len(block) for block in plain] == [len(block) for block in encoded]
        assert max(map(len, plain)) == min(rows, 60) and all(block.match_key is None for block in plain)
        whole = SampleBlock.concat(encoded)
        for field in fields(whole):
            assert np.array_equal(getattr(whole, field.name), getattr(samples(range(100, 160)), field.name)), field.name
        assert np.array_equal(SampleBlock.concat(plain).history_item, whole.history_item)


def test_a_reencoding_that_was_cut_off_changes_nothing(tmp_path: Path) -> None:
    path = made(tmp_path / "pool")
    pool = Pool.open(path)
    pool.store.write_encoded(samples(range(100, 160), version=2, seed=5))
    pool.close()
    with Pool.open(path) as pool:
        assert pool.model.version == 1 and len(pool) == 60
        assert verify(pool, queries=10, k=5, seed=0).consistent
        keys: list[bytes] = [key for key in pool.store._db.keys(from_key=b"v") if isinstance(key, bytes)]
        assert len(keys) == 60


def test_a_model_that_fails_while_reencoding_changes_nothing(tmp_path: Path) -> None:
    with Pool.open(made(tmp_path / "pool")) as pool:
        blocks: list[SampleBlock] = []

        def fail(block: SampleBlock) -> SampleBlock:
            blocks.append(block)
            raise RuntimeError("no")

        with pytest.raises(RuntimeError):
            pool.reencode(fail)
        assert pool.model.version == 1 and len(pool) == 60 and blocks


def test_space_of_what_has_left_is_given_back(tmp_path: Path) -> None:
    with Pool.open(tmp_path / "pool", small(window_count=64)) as pool:
        for turn in range(40):
            first = 1 + turn * 50
            pool.upsert(samples(range(first, first + 50), keys=range(first, first + 50)))
        rows = sum(1 for key in pool.store._db.keys(from_key=b"r") if isinstance(key, bytes) and key[:1] == b"r")
        assert 64 <= rows <= 64 + 64 // 16 + 50


def test_the_oldest_are_those_on_disk_whatever_comes_among_them(tmp_path: Path) -> None:
    with Pool.open(tmp_path / "pool", small(window_count=N)) as pool:
        pool.upsert(samples(range(1000, 1100)))
        for come in ([1200], [1001, 999], [500, 501, 502], [400], [1300]):
            assert pool.upsert(samples(come, keys=[5000 + each for each in come])).inserted.all()
            block = pool.memory.table
            at = block.at(pool.memory.window())
            for n in (1, 3, 7):
                timestamp, sample = pool.store.oldest(pool.store.state.floor, n)
                assert timestamp.tolist() == block.timestamp[at[:n]].tolist()
                assert sample.tolist() == block.sample[at[:n]].tolist()
