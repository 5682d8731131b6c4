"""The states of one pool shard on disk: its users, and the items whose takers it counts, in one RocksDB."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from rocksdict import AccessType, Rdict, WriteBatch

from index.database import options, told
from index.owner import Owner
from streams.flow.state_store import Kind, StateStore, rocksdb_error
from wire.durable import make_folder

_BUFFER_BYTES = 16 << 20  # of changes in memory, up to twice; a smaller one is merged more often


def _batch() -> WriteBatch:
    return WriteBatch(raw_mode=True)


class ShardStates:
    """A store of each kind in an open database, which it closes."""

    def __init__(self, folder: Path, db: Rdict, owner: Owner, batch: Callable[[], WriteBatch] = _batch) -> None:
        self._db = db
        self.users, self.items = (StateStore(folder, db, kind, owner, batch) for kind in (Kind.USERS, Kind.ITEMS))

    @classmethod
    def open(cls, folder: Path, owner: Owner) -> Self:
        """The states in a folder, made when it is not there; raises `InputError` and `StorageError`."""
        make_folder(folder)
        how = options()
        how.set_write_buffer_size(_BUFFER_BYTES)
        with told(folder, rocksdb_error):
            return cls(folder, Rdict(str(folder), how), owner)

    @classmethod
    def open_to_look(cls, folder: Path, owner: Owner) -> Self:
        """The states in a folder that no dataflow has open, only to `look` at them; raises as `open`."""
        with told(folder, rocksdb_error):
            return cls(folder, Rdict(str(folder), options(strict=True), access_type=AccessType.read_only(False)), owner)

    def close(self) -> None:
        """Close the database; the stores cannot be used any more."""
        with suppress(Exception):  # it tidies up, which a full disk may refuse: everything is in the log
            self._db.close()
