"""Files that survive: what they hold after a crash, and what is said when the disk refuses."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.disks import small_disk
from wire.durable import held, hold, make_folder, write_durably
from wire.errors import StorageError


def test_a_file_is_the_old_one_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "state"
    write_durably(place, b"old")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            write_durably(place, b"half")
    assert place.read_bytes() == b"old"
    write_durably(place, b"new")
    assert place.read_bytes() == b"new" and list(tmp_path.iterdir()) == [place]


@pytest.mark.skipif(not shutil.which("strace"), reason="strace looks at what reaches the disk")
def test_the_file_is_synced_before_its_rename_and_the_folder_after(tmp_path: Path) -> None:
    act = "import sys; from pathlib import Path; from wire.durable import write_durably; "
    act += "write_durably(Path(sys.argv[1]) / 'state', b'new')"
    strace = ["strace", "-f", "-y", "-e", "trace=fsync,rename", "-o", str(tmp_path / "trace")]
    (tmp_path / "to").mkdir()
    subprocess.run([*strace, sys.executable, "-c", act, str(tmp_path / "to")], check=True)
    calls = [line.split(None, 1)[1] for line in (tmp_path / "trace").read_text().splitlines() if "/to" in line]
    assert [call.split("(")[0] for call in calls] == ["fsync", "rename", "fsync"]
    assert "/to/.state." in calls[0] and "/to>" in calls[2]


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere/state")
    write_durably(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "elsewhere" / "state").read_bytes() == b"new"


def test_what_a_crash_left_is_in_nobodys_way(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    for process in (dead.pid, os.getpid()):
        (tmp_path / f".state.{process}.new").write_bytes(b"ha")
    write_durably(tmp_path / "state", b"whole", mode=0o600)
    assert [place.name for place in tmp_path.iterdir()] == ["state"]
    assert (tmp_path / "state").read_bytes() == b"whole" and (tmp_path / "state").stat().st_mode & 0o777 == 0o600


def test_a_full_disk_leaves_the_old_file_and_says_which(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64 * 1024) as disk:
        write_durably(disk / "state", b"old")
        with pytest.raises(StorageError, match=r"disk/.*state.*: No space left on device: make room") as refused:
            write_durably(disk / "state", bytes(1 << 20))
        assert "\n" not in str(refused.value)
        assert (disk / "state").read_bytes() == b"old" and [*disk.iterdir()] == [disk / "state"]
        write_durably(disk / "state", b"new")
        assert (disk / "state").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("number", "what_to_do"),
    [
        (errno.EDQUOT, "make room within that quota"),
        (errno.EROFS, "make that disk writable"),
        (errno.EACCES, "give this user the rights"),
        (errno.EIO, "that disk fails"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ENAMETOOLONG, "give a shorter path"),
    ],
)
def test_every_refusal_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, what_to_do: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError, match=f"{tmp_path}.*{what_to_do}"):
        write_durably(tmp_path / "state", b"new")


@pytest.mark.parametrize("path", ["file/folder", "file", "f" * 300])
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=path.partition("/")[0]):
        make_folder(tmp_path / path)


def test_a_folder_where_a_file_should_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with pytest.raises(StorageError, match="a folder is where a file should be"):
        write_durably(tmp_path / "state", b"new")


def test_a_folder_is_one_processs_and_free_when_that_one_is_dead(tmp_path: Path) -> None:
    act = "import sys, time; from pathlib import Path; from wire.durable import hold\n"
    act += "with hold(Path(sys.argv[1])): print('held', flush=True); time.sleep(100)"
    with subprocess.Popen([sys.executable, "-c", act, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(StorageError, match="is in use by another process: stop that one"), hold(tmp_path):
            pytest.fail("two have it")
        assert held(tmp_path)
        other.kill()
    assert not held(tmp_path)
    with hold(tmp_path):
        assert not any(tmp_path.iterdir())
