"""Files that outlive their process: whole or not at all, on disk when the call returns, one line when the disk refuses.

A rename is what makes a file appear whole; it holds after a power cut only when the file was synced before it and
its folder after it.
"""

import errno
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from glob import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from wire.errors import CodaError, StorageError

if TYPE_CHECKING:
    from polars import DataFrame

_ADVICE = {
    errno.ENOSPC: "make room on that disk and start again: whatever was saved before is whole",
    errno.EDQUOT: "make room within that quota and start again: whatever was saved before is whole",
    errno.EROFS: "make that disk writable, or give another path",
    errno.EACCES: "give this user the rights to it, or give another path",
    errno.EPERM: "give this user the rights to it, or give another path",
    errno.EIO: "that disk fails: look into the system's log, and save what is on it",
    errno.EMFILE: "let this process open more files (ulimit -n)",
    errno.ENFILE: "let this machine open more files (fs.file-max)",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.ENOTDIR: "a file is where a folder should be: move it, or give another path",
    errno.EEXIST: "a file is where a folder should be: move it, or give another path",
    errno.EISDIR: "a folder is where a file should be: move it, or give another path",
    errno.ENOENT: "give a path that is there",
}
SAID_BY_DISKS = frozenset(_ADVICE)
_SAID_BY_SQLITE = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_BUSY: errno.EBUSY,
    sqlite3.SQLITE_LOCKED: errno.EBUSY,
}


def advice(number: int) -> str:
    """What to do about an error number of the system."""
    return _ADVICE.get(number, "check the path, its permissions and the space left")


def as_storage_error(error: OSError, path: str | Path | None = None) -> StorageError:
    """The error as one line: the file it names or else `path`, what is wrong, what to do."""
    where = error.filename or path
    said = f"{error.strerror or error}: {advice(error.errno or 0)}"
    return StorageError(f"{where}: {said}" if where else said)


def storage_error(number: int, path: str | Path) -> StorageError:
    """The same of an error number of the system, where something else than Python met it."""
    return as_storage_error(OSError(number, os.strerror(number)), path)


@contextmanager
def open_database(path: Path, damaged: Callable[[], CodaError]) -> Iterator[sqlite3.Connection]:
    """The SQLite file at `path`; what is not committed in the end is as if it had not been.

    Raises `StorageError` where the disk refuses, and `damaged` where the file is none of SQLite's, or not whole.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            yield connection
    except sqlite3.Error as error:
        number = _SAID_BY_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        if number is None:
            raise damaged() from error
        raise storage_error(number, path) from error


@contextmanager
def told(path: str | Path) -> Iterator[None]:
    """Any `OSError` within as a `StorageError` about `path`."""
    try:
        yield
    except OSError as error:
        raise as_storage_error(error, path) from error


def write_durably(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Make `data` the content of the file at `path`, or leave what was there; raises `StorageError`.

    `mode` are the permissions of a file that is new, less the umask.
    """
    place = Path(os.path.realpath(path))  # where a link points, so that the link stays one
    fresh = place.with_name(f".{place.name}.{os.getpid()}.new")
    with told(path):
        for left in (fresh, *place.parent.glob(f".{escape(place.name)}.*.new")):
            if left == fresh or not _alive(left.name.split(".")[-2]):  # of a crash, and with what permissions
                left.unlink(missing_ok=True)
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(data)
            settle(fresh, place)
        except OSError:
            fresh.unlink(missing_ok=True)  # of a disk that is full it would keep what there is
            raise


def write_frame(path: Path, frame: "DataFrame") -> None:
    """The same with a table, as Parquet: by way of memory, since polars has no errno for what a disk says."""
    content = BytesIO()
    frame.write_parquet(content)
    write_durably(path, content.getvalue())


def settle(fresh: Path, place: Path) -> None:
    """Put a finished file or folder of files in `place`, what was there before out of sight; raises `OSError`."""
    for part in fresh.iterdir() if fresh.is_dir() else ():
        sync(part)
    sync(fresh)
    fresh.replace(place)
    sync(place.parent)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless they are there; raises `StorageError`."""
    with told(path):
        missing = [place for place in (path, *path.parents) if not place.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for place in missing:
            sync(place.parent)


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keep other processes from a folder; raises `StorageError` when one has it. The hold ends with its process."""
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(number)
        raise StorageError(f"{folder} is in use by another process: stop that one, or give another path") from error
    try:
        yield
    finally:
        os.close(number)


def held(folder: Path) -> bool:
    """Whether a process keeps others from a folder that is there."""
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(number)
    return False


def _alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except PermissionError:
        return True
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    return True


def sync(path: Path) -> None:
    """See to it that a power cut takes nothing of a file, or of a folder's list of files; raises `OSError`."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
