"""A pool's files, each damaged in each way: one line, nothing lost without a word, and a way to go on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from index.pool import Pool
from index.rebuild import rebuild_on_disk
from tests.disks import fill_up, small_disk
from tests.index.pools import small
from tests.index.samples import samples
from wire.errors import PoolError

OLD, NEW = 1000, 60  # rows in a file of their own, and in the log
SPEC = small(window_count=2 * OLD, segment_rows=500)
NO_ROWS = ("CURRENT", "IDENTITY", "LOCK", "OPTIONS-*", "rocksdict-config.json")
FILES = (*NO_ROWS, "MANIFEST-*", "*.log", "*.sst")


def overwrite(file: Path) -> None:
    file.write_bytes(b"\xa5" * max(100, file.stat().st_size))


def overwrite_the_middle(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 50] = b"\xa5" * 50
    file.write_bytes(content)


def put_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


DAMAGE: dict[str, Callable[[Path], None]] = {
    "cut in half": lambda file: os.truncate(file, file.stat().st_size // 2),
    "emptied": lambda file: os.truncate(file, 0),
    "overwritten": overwrite,
    "overwritten in the middle": overwrite_the_middle,
    "gone": Path.unlink,
    "a folder": put_a_folder,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A pool as a power cut leaves it, and what to expect of it."""
    path = tmp_path_factory.mktemp("whole") / "pool"
    with Pool.open(path, SPEC) as pool:
        pool.upsert(samples(range(100, 100 + OLD)))
        pool.store.flush()
        pool.upsert(samples(range(5000, 5000 + NEW), keys=range(50_000, 50_000 + NEW)))
        synced = pool.sync()
        shutil.copytree(path, path.with_name("copy"))
    return path.with_name("copy"), synced


@pytest.fixture
def damaged(whole: tuple[Path, int], tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, int]:
    pattern, damage = request.param
    path = tmp_path / "pool"
    shutil.copytree(whole[0], path)
    for file in path.glob(pattern):
        DAMAGE[damage](file)
    return path, whole[1]


def resumed(path: Path, synced: int) -> int:
    """How many rows a flow finds when it goes on."""
    with Pool.open(path, SPEC) as pool:
        pool.expect(synced)
        return len(pool)


@pytest.mark.parametrize("damaged", [(file, damage) for file in FILES for damage in DAMAGE], indirect=True)
def test_a_flow_goes_on_with_everything_or_says_what_to_do(damaged: tuple[Path, int]) -> None:
    path, synced = damaged
    try:
        assert resumed(path, synced) == OLD + NEW
    except PoolError as error:
        said = str(error)
        assert "\n" not in said and str(path) in said
        assert f"run `coda pool rebuild {path}`" in said or "delete that state, to fill it again" in said
        kept = rebuild_on_disk(path, lambda _done, _all: None)
        with Pool.open(path, SPEC) as pool:
            assert len(pool) == kept.kept and pool.upsert(samples([9000], keys=[99_999])).inserted.all()
        assert [place.name for place in path.parent.iterdir()] == ["pool"]


@pytest.mark.parametrize("damaged", [(file, damage) for file in NO_ROWS for damage in DAMAGE], indirect=True)
def test_files_without_rows_cost_no_row(damaged: tuple[Path, int]) -> None:
    path, synced = damaged
    try:
        resumed(path, synced)
    except PoolError:
        assert rebuild_on_disk(path, lambda _done, _all: None).lost == 0
    assert resumed(path, synced) == OLD + NEW


@pytest.mark.parametrize("damaged", [("MANIFEST-*", damage) for damage in DAMAGE], indirect=True)
def test_a_list_of_files_that_is_damaged_costs_no_file(damaged: tuple[Path, int]) -> None:
    path, synced = damaged
    with pytest.raises(PoolError, match="run `coda pool rebuild"):
        resumed(path, synced)
    rebuild_on_disk(path, lambda _done, _all: None)
    assert resumed(path, synced) == OLD + NEW


@pytest.mark.parametrize("damaged", [("*.log", damage) for damage in DAMAGE], indirect=True)
def test_rows_that_the_log_has_lost_are_missed(damaged: tuple[Path, int]) -> None:
    for _ in range(2):  # also by a second try
        with pytest.raises(PoolError, match=r"has lost what it held .* delete that state"):
            resumed(*damaged)


def test_a_pool_whose_making_was_cut_off_is_made(whole: tuple[Path, int], tmp_path: Path) -> None:
    for name in ("LOCK", "LOG", "IDENTITY", "MANIFEST-000001", "000001.dbtmp"):
        (tmp_path / name).touch()
    with Pool.open(tmp_path, SPEC) as pool:
        assert len(pool) == 0 and pool.upsert(samples([100])).inserted.all()


@pytest.mark.parametrize("stopped", ["after the first rename", "after the second rename", "while deleting"])
def test_a_rebuild_that_was_stopped_blocks_nothing(whole: tuple[Path, int], tmp_path: Path, stopped: str) -> None:
    path, old, fresh = (tmp_path / name for name in ("pool", "pool.replaced", "pool.rebuilding"))
    shutil.copytree(whole[0], old)
    if stopped == "after the first rename":
        shutil.copytree(whole[0], fresh)
    else:
        shutil.copytree(whole[0], path)
    if stopped == "while deleting":
        (old / "CURRENT").unlink()
    assert resumed(path, whole[1]) == OLD + NEW
    assert rebuild_on_disk(path, lambda _done, _all: None).kept == OLD + NEW
    assert [place.name for place in tmp_path.iterdir()] == ["pool"]


@pytest.mark.parametrize("name", ["a pool", "größe", "-x", "p" * 200])
def test_any_name_will_do(whole: tuple[Path, int], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(whole[0], tmp_path / name)
    (tmp_path / "link").symlink_to(name)
    monkeypatch.chdir(tmp_path / name)
    for path in (Path(), Path(f"../{name}"), tmp_path / "link"):
        assert rebuild_on_disk(path, lambda _done, _all: None).kept == OLD + NEW
        assert (tmp_path / "link").is_symlink()
        os.chdir(tmp_path / name)


def test_too_few_open_files_say_so(whole: tuple[Path, int], tmp_path: Path) -> None:
    shutil.copytree(whole[0], tmp_path / "pool")
    act = "import resource, sys; from pathlib import Path; from index.pool import Pool; import os\n"
    act += "used = len(os.listdir('/proc/self/fd')) + 2; resource.setrlimit(resource.RLIMIT_NOFILE, (used, used))\n"
    act += "try: Pool.open(Path(sys.argv[1]))\nexcept Exception as error: print(type(error).__name__, error)"
    said = subprocess.run(
        [sys.executable, "-c", act, str(tmp_path / "pool")], capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith("PoolError pool ") and said.count("\n") == 1 and "(ulimit -n)" in said
    assert resumed(tmp_path / "pool", whole[1]) == OLD + NEW


def test_a_full_disk_refuses_what_it_cannot_hold_and_keeps_the_rest(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4 << 20) as disk:
        with Pool.open(disk / "pool", SPEC) as pool:
            pool.upsert(samples(range(100, 100 + OLD)))
            synced = pool.sync()
            filled = fill_up(disk)
            with pytest.raises(PoolError, match=r"No space left on device.*: make room on that disk"):
                for n in range(100):
                    pool.upsert(samples(range(5000, 5000 + NEW), keys=range((n + 1) * 50_000, (n + 1) * 50_000 + NEW)))
                    pool.sync()
                    synced = pool.store.writes
        with pytest.raises(PoolError, match=r"No space left on device.*: make room on that disk"):
            resumed(disk / "pool", synced)
        filled.unlink()
        assert resumed(disk / "pool", synced) >= OLD


def test_a_disk_that_cannot_be_written_is_told(whole: tuple[Path, int], tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4 << 20) as disk:
        shutil.copytree(whole[0], disk / "pool")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for read_only in (False, True):
            with pytest.raises(PoolError, match=r"Read-only file system.*: make that disk writable"):
                Pool.open(disk / "pool", read_only=read_only)
