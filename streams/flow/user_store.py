"""The users of one pool shard on disk: RocksDB, to which all that an epoch changed is written at once.

Bytewax keeps only a checkpoint's number with its snapshot. After a crash it goes on from the last snapshot or, where
the crash came before that was counted, from the one before; no other, since it begins no epoch before the last one
counts everywhere. So what the last checkpoint changed is *pending*, until the next one says that it counts. No number
is used twice, so that one of which nothing became is known again (`streams.flow.uncounted`).

Keys: `m` -> whose they are, checkpoints and numbers of users; `p` -> what is pending; `u` + user id -> state as of what
counts. Each state is written twice: as pending, and in its place.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import msgspec
from msgspec.structs import replace
from rocksdict import AccessType, Rdict, WriteBatch

from index.database import disk_errno, options, says_busy, told
from index.owner import Owner
from streams.flow.state import damaged
from wire.durable import make_folder, storage_error
from wire.errors import CodaError, InputError, StorageError

_META, _PENDING, _USER = b"m", b"p", b"u"
_BUFFER_BYTES = 16 << 20  # of changes in memory, up to twice; a smaller one is merged more often
_USERS_END = _USER + b"\xff"  # no byte of UTF-8


class Meta(msgspec.Struct, frozen=True, array_like=True):
    """Whose users they are, the last checkpoint, and the one that counts; of both, how many users there were: RocksDB's
    iterators end at a damaged block without a word."""

    owner: Owner
    last: int = 0
    counts: int = 0
    users_last: int = 0
    users: int = 0


_encoder = msgspec.msgpack.Encoder()
_meta = msgspec.msgpack.Decoder(Meta)
_changes = msgspec.msgpack.Decoder(dict[str, bytes | None])


def _batch() -> WriteBatch:
    return WriteBatch(raw_mode=True)


class UserStore:
    """`operators.shard_users.UserStates` in an open database, which it closes; `resume` comes first."""

    def __init__(self, folder: Path, db: Rdict, owner: Owner, batch: Callable[[], WriteBatch] = _batch) -> None:
        self._folder, self._db, self._owner, self._batch = folder, db, owner, batch
        self._at = Meta(owner)
        self._pending: Mapping[str, bytes | None] = {}

    @classmethod
    def open(cls, folder: Path, owner: Owner) -> Self:
        """The store in a folder, made when it is not there; raises `InputError` and `StorageError`."""
        make_folder(folder)
        how = options()
        how.set_write_buffer_size(_BUFFER_BYTES)
        with told(folder, _error):
            return cls(folder, Rdict(str(folder), how), owner)

    @classmethod
    def open_to_look(cls, folder: Path, owner: Owner) -> Self:
        """The store in a folder that no dataflow has open, only to `look` at it; raises as `open`."""
        with told(folder, _error):
            return cls(folder, Rdict(str(folder), options(strict=True), access_type=AccessType.read_only(False)), owner)

    def look(self, checkpoint: int | None) -> int:
        """How many users there are; reads all that `resume` would, changes nothing, and raises what that does.

        None where it is not known from which checkpoint that would be.
        """
        self._at, self._pending = self._read()
        if checkpoint is not None:
            self._has(self._at, checkpoint)
        for _ in self._users():
            pass
        return self._at.users_last

    def resume(self, checkpoint: int | None) -> Iterator[tuple[str, bytes]]:
        """All states by user id as of that checkpoint, the last or the one before; None begins with nobody.

        Raises `InputError` where they are not there, or another's, and `StorageError`.
        """
        batch, (at, pending) = self._batch(), self._read()
        if checkpoint is None:
            batch.delete_range(_USER, _USERS_END)
            at = Meta(self._owner, at.last, at.last)
        elif self._has(at, checkpoint) == at.last:
            _settle(batch, pending)
            at = replace(at, counts=at.last if pending else at.counts, users=at.users_last)
        else:
            at = replace(at, users_last=at.users)
        self._write(batch, {}, at)
        yield from self._users()

    @property
    def checkpoint(self) -> int:
        """The checkpoint that was saved last, or from which the dataflow went on since."""
        return self._at.last if self._pending else self._at.counts

    def get(self, user_id: str) -> bytes:
        """The newest state that was saved of a user who has one; raises `InputError` where it is gone."""
        with told(self._folder, _error):
            state = self._pending[user_id] if user_id in self._pending else self._db.get(_USER + user_id.encode())
        if state is None:
            raise damaged(self._folder.parent, f"{self._folder.name}: a user cannot be read")
        return state

    def save(self, changes: Mapping[str, bytes | None], users: int) -> int:
        """Save new states by user id, None of who left, so that they are so many `users`; returns the new checkpoint.

        They are on disk when this returns. Raises `StorageError`.
        """
        batch = self._batch()
        _settle(batch, self._pending)
        at = Meta(self._owner, self._at.last + 1, self.checkpoint, users, self._at.users_last)
        self._write(batch, changes, at)
        with told(self._folder, _error):
            self._db.flush_wal(True)
        return self._at.last

    def close(self) -> None:
        """Close the database; the store cannot be used any more."""
        with suppress(Exception):  # it tidies up, which a full disk may refuse: everything is in the log
            self._db.close()

    def _read(self) -> tuple[Meta, Mapping[str, bytes | None]]:
        with told(self._folder, _error):
            raw, pending = self._db.get(_META), self._db.get(_PENDING)
            if raw is None:
                return Meta(self._owner), {}
            at, changes = _meta.decode(raw), _changes.decode(pending or b"")
        if difference := self._owner.difference(at.owner):
            raise InputError(
                f"{self._folder} {difference}: put each folder back where it was, or delete {self._folder.parent}; the "
                "flow then reads again what Kafka still has, and its pool takes nothing twice"
            )
        return at, changes

    def _has(self, at: Meta, checkpoint: int) -> int:
        """The checkpoint, if it can be gone on from."""
        if not at.counts <= checkpoint <= at.last:
            raise damaged(self._folder.parent, f"{self._folder.name} is at checkpoint {at.last}, not {checkpoint}")
        return checkpoint

    def _users(self) -> Iterator[tuple[str, bytes]]:
        done = 0
        with told(self._folder, _error):
            items: Iterator[Any] = self._db.items(from_key=_USER)  # bytes, in raw mode
        while item := self._next(items):
            done += 1
            yield item[0][len(_USER) :].decode(), item[1]
        if done != self._at.users:
            raise damaged(self._folder.parent, f"{self._folder.name}: {done} of {self._at.users} users can be read")

    def _next(self, items: Iterator[Any]) -> Any:
        with told(self._folder, _error):
            return next(items, None)

    def _write(self, batch: WriteBatch, pending: Mapping[str, bytes | None], at: Meta) -> None:
        batch.put(_PENDING, _encoder.encode(pending))
        batch.put(_META, _encoder.encode(at))
        with told(self._folder, _error):
            self._db.write(batch)
        self._at, self._pending = at, pending


def _settle(batch: WriteBatch, pending: Mapping[str, bytes | None]) -> None:
    """What was pending counts."""
    for user_id, state in pending.items():
        if state is None:
            batch.delete(_USER + user_id.encode())
        else:
            batch.put(_USER + user_id.encode(), state)


def _error(folder: Path, text: str) -> CodaError:
    """What RocksDB complains of, as the state's error."""
    if says_busy(text):
        return StorageError(f"{folder} is open in another process: stop that one, or give another --state")
    if (number := disk_errno(text)) is not None:
        return storage_error(number, folder)
    return damaged(folder.parent, f"{folder.name}: {text}")
