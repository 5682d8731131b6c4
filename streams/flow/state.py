"""The folder where Bytewax keeps the dataflow's state: positions and users."""

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from bytewax.recovery import init_db_dir

from streams.home import FILE
from wire.durable import as_storage_error, make_folder, sync, told, write_durably
from wire.errors import CodaError, InputError

# Files the state is spread over. At the end of every epoch each is synced to disk in turn, and the dataflow waits:
# produced→pooled p99 at 1,000 events/s and epochs of .5 s was 380 ms with 16 files, 210 with 4, 110 with 1 (2 cores
# that others used too).
PARTS = 1
_ROOM_BYTES = 1 << 16  # several pages of SQLite: what an epoch writes at least
_TABLES = {"parts", "exs", "fronts", "commits", "snaps"}


# What SQLite says of a disk, by the names that Bytewax's panics give it.
_DISK = {"DiskFull": errno.ENOSPC, "ReadOnly": errno.EROFS, "SystemIoFailure": errno.EIO, "CannotOpen": errno.EACCES}


def prepare_state(folder: Path) -> None:
    """Make the folder where Bytewax keeps its state, or check the one that is there.

    Raises `InputError` when it holds something else or is damaged, and `StorageError`.
    """
    make_folder(folder)
    parts = sorted(folder.glob("part-*.sqlite3"))
    if not parts and any(folder.iterdir()):
        raise InputError(f"{folder} holds other files and no dataflow state: give another --state")
    if parts and not (folder / FILE).exists():  # every start notes its Kafka there: the making was cut off
        empty = [part for part in parts if part.is_file() and not part.stat().st_size]
        for part in empty:
            part.unlink()
        parts = [part for part in parts if part not in empty]
    if not parts:
        with told(folder):
            init_db_dir(folder, PARTS)  # type: ignore[no-untyped-call]
            sync(folder)
    for part in parts:
        _check(part)


def check_room(folder: Path) -> None:
    """Raise `StorageError` when nothing can be written there."""
    probe = folder / ".room"
    write_durably(probe, bytes(_ROOM_BYTES))
    probe.unlink()


def state_error(error: BaseException, folder: Path) -> CodaError | None:
    """What is wrong with the state when Bytewax failed because of it: its panics tell, in Rust's words."""
    words = str(error)
    if "SqliteFailure" not in words:
        return None
    number = next((number for name, number in _DISK.items() if f"code: {name}" in words), None)
    if number is not None:
        return as_storage_error(OSError(number, os.strerror(number)), folder)
    return _damaged(folder, words[words.index("SqliteFailure") :])


def _check(part: Path) -> None:
    """Raise `InputError` when a file of the state is damaged."""
    try:
        with closing(sqlite3.connect(f"{part.absolute().as_uri()}?mode=rw", uri=True)) as database:
            found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise _damaged(part.parent, f"{part.name}: {error}") from error
    if found != "ok" or not tables >= _TABLES:
        raise _damaged(part.parent, f"{part.name}: {found if found != 'ok' else 'tables are missing'}")


def _damaged(folder: Path, what: str) -> InputError:
    return InputError(
        f"the flow's state {folder} is damaged ({' '.join(what.split())}): delete that folder; the flow then reads "
        "again what Kafka still has, and its pool takes nothing twice"
    )
