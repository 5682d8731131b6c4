"""A small disk of its own for a folder, to be filled up; only a user who may mount disks can have one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wire.errors import InputError


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A disk of that size, in whole pages, at `folder`; raises `InputError` where mounting is not allowed."""
    folder.mkdir(exist_ok=True)
    options = ["-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
    try:
        subprocess.run(["mount", *options], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InputError(f"this user may not mount a small disk at {folder}: run it as root") from error
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_up(disk: Path, leave_bytes: int = 0) -> Path:
    """Fill a small disk but for so many bytes; returns the file to delete for room."""
    path = disk / "fill"
    with path.open("wb", buffering=0) as file, suppress(OSError):  # until there is no space left
        while True:
            file.write(bytes(4096))
    os.truncate(path, path.stat().st_size - leave_bytes)
    return path


def free_bytes(disk: Path) -> int:
    """What is left on a disk."""
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize
