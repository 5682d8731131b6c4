"""The folder of the dataflow's state: Bytewax's file with positions, and `streams.flow.state_shards`."""

import errno
import os
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

from bytewax.recovery import init_db_dir

from operators.saved_states import Saved
from streams.home import FILE
from wire.durable import make_folder, open_database, storage_error, sync, told, write_durably
from wire.errors import CodaError, InputError

# The flow and four of its steps: Bytewax keeps states under these.
FLOW_ID, USERS, ITEMS, POOLED, OUTPUT = "coda", "user", "audience", "shard", "out"
# Files the state is spread over. At the end of every epoch each is synced to disk in turn, and the dataflow waits:
# produced→pooled p99 at 1,000 events/s and epochs of .5 s was 380 ms with 16 files, 210 with 4, 110 with 1 (2 cores
# that others used too).
PARTS = 1
_PROBE_BYTES = 1 << 16  # several pages of SQLite: what an epoch writes at least
_FREED_BYTES = 1 << 20  # what SQLite's log of changes may have taken, which goes with the thread that found no room
_WRITTEN = ("exs", "fronts", "commits", "snaps")
_TABLES = {"parts", *_WRITTEN}
_NAME = "dataflow"
# How steps are kept, users and items among them (`operators.user.UserState.snapshot`,
# `operators.audience.Audience.snapshot`, `streams.flow.state_store`): one more whenever that changes. SQLite has a
# number for that, `application_id`; another one, `user_version`, is Bytewax's own.
FORMAT = 5
_READ, _WRITE = "mode=ro", "mode=rw"  # of SQLite's addresses of files
# What SQLite says of a disk, by the names that Bytewax's panics give it.
_DISK = {"DiskFull": errno.ENOSPC, "ReadOnly": errno.EROFS, "SystemIoFailure": errno.EIO, "CannotOpen": errno.EACCES}


class _Part(NamedTuple):
    """What a file of a state says: `which` part it is, of how many, and how users are kept."""

    which: tuple[int, int] | None
    format: int


class Checkpoints(NamedTuple):
    """At which checkpoint the users and the items of each shard are."""

    users: dict[int, int]
    items: dict[int, int]


def prepare_state(folder: Path, part: int = 0, parts: int = PARTS) -> None:
    """Make the folder where Bytewax keeps its state, or check the one that is there: `part` of `parts`.

    One that has all parts gets a name; several hosts give it one when they meet. Raises `InputError` when it holds
    something else or is damaged, and `StorageError`.
    """
    make_folder(folder)
    found = sorted(folder.glob("part-*.sqlite3"))
    if not found and any(folder.glob("states-*")):
        raise damaged(folder, f"part-{part}.sqlite3 is gone")
    if not found and any(folder.iterdir()):
        raise InputError(f"{folder} holds other files and no dataflow state: give another --state")
    own = folder / f"part-{part}.sqlite3"
    if found and not (folder / FILE).exists():  # every start notes its Kafka there: the making was cut off
        found = [place for place in found if not _cut_off(place)]
    if not found:
        with told(folder):
            init_db_dir(folder, parts)  # type: ignore[no-untyped-call]
            for other in folder.glob("part-*.sqlite3"):
                if other != own:  # another host's, which makes it itself
                    other.unlink()
            sync(folder)
        found = [own]
    for place in found:
        _check(place, part, parts)
    if not state_name(folder):
        if has_begun(folder):
            raise damaged(folder, f"{_NAME} is gone")
        if parts == 1:
            name_state(folder, new_name())


def look_at_state(folder: Path) -> Checkpoints:
    """Where each shard's states are, of those on this host; for a state that no dataflow has open.

    Raises `InputError` when it is damaged or of another version, and writes nothing.
    """
    places = sorted(folder.glob("part-*.sqlite3"))
    if not places:
        raise damaged(folder, "part-*.sqlite3 is gone")
    found = Checkpoints({}, {})
    for place in places:
        which, version = _look(place, _READ)
        if version != FORMAT and _written(place, _READ):
            raise _other_version(folder, version)
        alone = which is None or which[1] == 1
        for step, of_step in ((USERS, found.users), (ITEMS, found.items)):
            of_step |= {
                shard: checkpoint
                for shard, checkpoint in _checkpoints(place, step)
                if alone or any(folder.glob(f"states-{shard}-of-*"))
            }
    if not state_name(folder):
        raise damaged(folder, f"{_NAME} is gone")
    return found


def pooled_writes(folder: Path) -> dict[str, int]:
    """How many writes to each shard's pool the state counts on, by the shard's key; raises `InputError`."""
    places = sorted(folder.glob("part-*.sqlite3"))
    return {key: writes for place in places for key, writes in _states(place, POOLED)}


def new_name() -> str:
    """What no other state is called."""
    return token_hex(8)


def state_name(folder: Path) -> str:
    """What the state is called of which this folder holds all or, after its hosts met, a part; "" before that."""
    try:
        return (folder / _NAME).read_text("ascii")
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return ""


def name_state(folder: Path, name: str) -> None:
    """Note what it is called; raises `StorageError`."""
    if state_name(folder) != name:
        write_durably(folder / _NAME, name.encode("ascii"))


def has_begun(folder: Path) -> bool:
    """Whether a dataflow has written to this part."""
    return any(map(_written, folder.glob("part-*.sqlite3")))


def check_room(folder: Path) -> None:
    """Raise `StorageError` when nothing can be written there, or could be before the dataflow died."""
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < _FREED_BYTES:
        raise storage_error(errno.ENOSPC, folder)
    probe = folder / ".room"
    write_durably(probe, bytes(_PROBE_BYTES))
    probe.unlink(missing_ok=True)  # another process of this host looks, too


def state_error(error: BaseException, folder: Path) -> CodaError | None:
    """What is wrong with the state when Bytewax failed because of it: its panics tell, in Rust's words."""
    words = str(error)
    if "SqliteFailure" not in words:
        return None
    number = next((number for name, number in _DISK.items() if f"code: {name}" in words), None)
    if number is not None:
        return storage_error(number, folder)
    return damaged(folder, words[words.index("SqliteFailure") :])


def _cut_off(place: Path) -> bool:
    """Remove a file to which nothing was written yet: its making was cut off, or it was made for other --hosts."""
    if left := place.is_file() and not (place.stat().st_size and _written(place)):
        place.unlink()
    return left


def _written(place: Path, mode: str = _WRITE) -> bool:
    """Whether a dataflow has written to a part; also when that cannot be read."""
    try:
        with closing(_open(place, mode)) as database:
            return any(database.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in _WRITTEN)
    except sqlite3.Error as error:
        return "no such table" not in str(error)


def _checkpoints(place: Path, step: str) -> list[tuple[int, int]]:
    """Shards whose place in a step a part has, and their checkpoints, of each the newest last."""
    found: list[Saved] = [saved for _, saved in _states(place, step)]
    return [(each.shard, each.checkpoint) for each in found]


def _states(place: Path, step: str) -> list[tuple[str, Any]]:
    """What a part has of a step: keys and their states, of each the newest last."""
    query = "SELECT state_key, ser_change FROM snaps WHERE step_id = ? AND ser_change IS NOT NULL ORDER BY snap_epoch"
    try:
        with closing(_open(place, _READ)) as database:
            return [(key, pickle.loads(raw)) for key, raw in database.execute(query, (f"{FLOW_ID}.{step}",))]
    except Exception as error:  # an unpickler of damaged bytes raises whatever it stumbles over
        raise damaged(place.parent, f"{place.name}: {error}") from error


def _open(place: Path, mode: str) -> sqlite3.Connection:
    if mode == _READ and not place.with_name(f"{place.name}-wal").exists():
        mode = "immutable=1"  # else SQLite makes that file, and may not delete it
    return sqlite3.connect(f"{place.absolute().as_uri()}?{mode}", uri=True)


def _look(place: Path, mode: str) -> _Part:
    """What a file of the state says that it is; raises `InputError` when it is damaged."""
    which = None
    try:
        with closing(_open(place, mode)) as database:
            found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if tables >= _TABLES:
                which = database.execute("SELECT part_index, part_count FROM parts").fetchone()
            (of_format,) = database.execute("PRAGMA application_id").fetchone()
    except sqlite3.Error as error:
        raise damaged(place.parent, f"{place.name}: {error}") from error
    if found != "ok" or not tables >= _TABLES:
        raise damaged(place.parent, f"{place.name}: {found if found != 'ok' else 'tables are missing'}")
    return _Part(which, of_format)


def _check(place: Path, part: int, parts: int) -> None:
    """Raise `InputError` when a file of the state is damaged, not `part` of `parts`, or of another version.

    Note of which one it is, where no user is kept yet.
    """
    which, found = _look(place, _WRITE)
    if which and which != (part, parts):
        raise InputError(
            f"{place.parent} is the state of host {which[0]} of {which[1]}, and this is host {part} of {parts}: "
            "give it back to that one, or delete the --state of every host; the dataflow then reads again what Kafka "
            "still has, and pools take nothing twice"
        )
    if found == FORMAT:
        return
    if _written(place):
        raise _other_version(place.parent, found)
    with open_database(place, lambda: damaged(place.parent, place.name)) as database:
        database.execute(f"PRAGMA application_id = {FORMAT}")


def _other_version(folder: Path, found: int) -> InputError:
    return InputError(
        f"{folder} is of another version of this program (format {found}, not {FORMAT}): "
        "delete that folder; the flow then reads again what Kafka still has, and its pool takes nothing twice"
    )


def damaged(folder: Path, what: str) -> InputError:
    """The error of a state that cannot be trusted."""
    return InputError(
        f"the flow's state {folder} is damaged ({' '.join(what.split())}): delete that folder; the flow then reads "
        "again what Kafka still has, and its pool takes nothing twice"
    )
