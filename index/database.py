"""RocksDB under a pool: how it is opened and repaired, and what its errors mean to a user."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from shutil import rmtree
from typing import TypeVar

from rocksdict import AccessType, DBCompressionType, DBRecoveryMode, Options, Rdict

from wire.durable import advice, make_folder
from wire.errors import CodaError, PoolError

# What a disk does that holds whole files; anything else that RocksDB complains of is damage.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE)
_ROWS = ("*.sst", "*.log")
_FILES = (*_ROWS, "CURRENT", "IDENTITY", "LOCK", "LOG*", "MANIFEST-*", "OPTIONS-*", "*.dbtmp", "rocksdict-config.json")


# Who looks at a pool that is being written opens one file after the other: what moves meanwhile looks like damage.
LOOKS = 3
T = TypeVar("T")


class PoolBusy(PoolError):
    """The pool is open in another process."""


def open_db(path: Path, *, read_only: bool, new: bool = False, strict: bool = False) -> Rdict:
    """The database at `path`, made if it may be `new` and nothing else is there; raises `PoolError`.

    `strict` tells of damage in the middle of the log. Otherwise what comes after it counts as never written: that is
    how a power cut may leave what was not synced.
    """
    path = path.resolve()
    with told(path):
        if not read_only:
            recover(path)
    names = _names(path)
    strange = [name for name in names if not any(fnmatch(name, kind) for kind in _FILES)]
    if "CURRENT" not in names:  # else files may go while somebody writes
        rows = any(fnmatch(name, kind) and (path / name).stat().st_size for kind in _ROWS for name in names)
        if rows and not strange:
            raise damaged(path, "CURRENT is gone")
        if strange or not new:
            raise not_a_pool(path, " or an empty one for a new pool" if new else "")
    if not read_only:
        make_folder(path)
    access = AccessType.read_only(False) if read_only else AccessType.read_write()
    with told(path):
        return Rdict(str(path), options(strict), access_type=access)


def looked(look: Callable[[], T]) -> T:
    """What `look` gives, which only reads a pool that another process may be writing; it looks again before what it
    raises counts."""
    for _ in range(LOOKS - 1):
        with suppress(PoolError):
            return look()
    return look()


def replaced(path: Path) -> Path:
    """Where a rebuild moves the pool at `path` before it puts the new one there, and deletes it after."""
    return path.with_name(f"{path.name}.replaced")


def recover(path: Path) -> None:
    """Undo or end a rebuild that was stopped between these steps; raises `OSError`."""
    old = replaced(path)
    if path.exists():
        rmtree(old, ignore_errors=True)
    elif old.exists():
        old.rename(path)


def repair(path: Path) -> None:
    """Let RocksDB salvage what it can of a damaged database; raises `PoolError` when there is none."""
    if not any(fnmatch(name, kind) for kind in _FILES for name in _names(path)):
        raise not_a_pool(path)
    with told(path):
        for place in path.iterdir():
            if place.is_dir():
                place.rmdir()  # stands where a file should; one that holds something is not ours to delete
        Rdict.repair(str(path), options())


def orphans(path: Path, db: Rdict) -> bool:
    """Whether there are files of rows that the database knows nothing of, and that it deletes when it may write."""
    return not {file.name for file in path.glob("*.sst")} <= {Path(file["name"]).name for file in db.live_files()}


def says_busy(text: str) -> bool:
    """Whether RocksDB says that another process has its folder open."""
    return "/LOCK:" in text and any(os.strerror(number) in text for number in (errno.EAGAIN, errno.ENOLCK))


def disk_errno(text: str) -> int | None:
    """The error number that a disk gave RocksDB; None where it complains of something else."""
    return next((number for number in _DISK if os.strerror(number) in text), None)


def damaged(path: Path, what: str) -> PoolError:
    """The error of a pool that cannot be trusted."""
    return PoolError(
        f"pool {path} is damaged ({what}): run `coda pool rebuild {path}`, "
        "or delete it and the flow's --state, to fill it again with what Kafka still has"
    )


def not_a_pool(path: Path, otherwise: str = "") -> PoolError:
    """The error of a folder that holds something else, such as the folders of some pools, or nothing."""
    within = sorted(place.parent for place in path.glob("*/CURRENT"))
    example = f", such as {within[0]}" if within else ""
    return PoolError(f"{path} is not a pool: give the directory of one{example}{otherwise}")


def _pool_error(path: Path, text: str) -> PoolError:
    if says_busy(text):
        return PoolBusy(f"pool {path} is open in another process: stop that one, or use another path")
    if (number := disk_errno(text)) is not None:
        return PoolError(f"pool {path} cannot be used ({text}): {advice(number)}")
    return damaged(path, text)


@contextmanager
def told(path: Path, error_of: Callable[[Path, str], CodaError] = _pool_error) -> Iterator[None]:
    """What RocksDB raises within as a `PoolError`, or as `error_of` says.

    They are bare Exceptions, and only their text tells one from another.
    """
    try:
        yield
    except CodaError:
        raise
    except Exception as error:
        raise error_of(path, " ".join(str(error).split())) from error


def _names(path: Path) -> list[str]:
    try:
        return [file.name for file in path.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise PoolError(f"pool {path} cannot be used ({error.strerror}): {advice(error.errno or 0)}") from error


# Bytes of a file that RocksDB writes in the background before it has them sent to the disk. It would send all 60 MB of
# the file at its end else, and who waits for the disk then, as every epoch does, waits for those, too.
_SENT_AT_ONCE = 1 << 20


def options(strict: bool = False) -> Options:
    """How our databases are opened."""
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_keep_log_file_num(2)
    options.set_bytes_per_sync(_SENT_AT_ONCE)
    mode = DBRecoveryMode.tolerate_corrupted_tail_records() if strict else DBRecoveryMode.point_in_time()
    options.set_wal_recovery_mode(mode)
    return options
