"""A pool whose process is killed in the middle of writing, or that another process has open."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from index.database import LOOKS, damaged
from index.pool import Pool
from index.rebuild import rebuild_on_disk
from index.spec import PoolSpec
from index.store import Store
from index.verify import verify
from tests.index.pools import small
from tests.index.samples import samples
from tests.index.writer import BLOCK, WINDOW, block_number
from wire.errors import PoolError

ROOT = Path(__file__).parents[2]


def writer(path: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.index.writer", str(path), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def killed(process: subprocess.Popen[str], after_blocks: int) -> int:
    """Kill it in the middle of writing, once so many blocks are in; the number of the last block it told of."""
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(after_blocks)]
    os.kill(process.pid, signal.SIGKILL)
    told += process.stdout.readlines()
    process.stdout.close()
    process.wait()
    return int(told[-1])


def test_after_kill_9_nothing_is_torn_doubled_or_out_of_order(tmp_path: Path) -> None:
    done = -1
    for after in (3, 25, 40):  # before, around and after the window is full
        done = killed(writer(tmp_path / "pool", str(done + 1)), after)
        with Pool.open(tmp_path / "pool", small(window_count=WINDOW)) as pool:
            table = pool.memory.table
            window = table.sample[table.at(pool.memory.window())].tolist()
            last = window[-1]
            # A block that was told of is in; the one being written is in whole or not at all.
            assert last in ((done + 1) * BLOCK, (done + 2) * BLOCK)
            assert window == list(range(max(1, last - WINDOW + 1), last + 1))
            assert verify(pool, queries=20, k=5, seed=0).consistent
            again = pool.upsert(block_number(done))
            assert again.duplicate.all()
            done = last // BLOCK - 1
            expected = block_number(done)
            rows = pool.memory.window()
            rows = rows[np.isin(table.sample[table.at(rows)], expected.sample)]
            assert pool.memory.vectors(rows).tolist() == expected.match_key.tolist()  # type: ignore[union-attr]


@pytest.mark.skipif(not shutil.which("strace"), reason="strace looks at what reaches the disk")
def test_nothing_of_the_log_is_left_to_a_power_cut_after_a_sync(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    command = [sys.executable, "-m", "tests.index.writer", str(tmp_path / "pool"), "0", "sync"]
    calls = ["-e", "trace=write,fsync,fdatasync", "-o", str(trace)]
    subprocess.run(["strace", "-f", "-y", *calls, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    heard = [line for line in trace.read_text().splitlines() if ".log>" in line or '"synced' in line]
    said = next(n for n, line in enumerate(heard) if '"synced' in line)
    assert "write(" in heard[said - 2] and "sync(" in heard[said - 1], "what was written last was then made safe"


def test_a_pool_open_in_another_process_says_so_and_can_be_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "pool"
    process = writer(path, "0", "hold")
    try:
        assert process.stdout is not None and process.stdout.readline() == "0\n"
        with pytest.raises(PoolError, match="open in another process: stop that one"):
            Pool.open(path)
        with pytest.raises(PoolError, match="open in another process"):
            rebuild_on_disk(path, lambda _done, _all: None)
        with Pool.open(path, read_only=True) as pool:
            assert len(pool) == BLOCK
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_what_moves_while_it_is_looked_at_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Pool.open(tmp_path / "pool", small()) as pool:
        pool.upsert(samples([1, 2, 3]))
    opened, looks = Store.open, []

    def moved(path: Path, spec: PoolSpec | None, read_only: bool = False) -> Store:
        looks.append(read_only)
        if len(looks) < LOOKS:
            raise damaged(path, "a file that its writer has merged meanwhile is gone")
        return opened(path, spec, read_only)

    monkeypatch.setattr(Store, "open", moved)
    with Pool.open(tmp_path / "pool", read_only=True) as pool:
        assert len(pool) == 3
    looks.clear()
    with pytest.raises(PoolError, match="is damaged"):
        Pool.open(tmp_path / "pool")
    assert looks == [False], "nobody else writes to what we may write to"
