"""States of one pool shard, of users or of items: in RocksDB, to which all that an epoch changed is written at once.

Bytewax keeps only a checkpoint's number with its snapshot. After a crash it goes on from the last snapshot or, where
the crash came before that was counted, from the one before; no other, since it begins no epoch before the last one
counts everywhere. So what the last checkpoint changed is *pending*, until the next one says that it counts. No number
is used twice, so that one of which nothing became is known again (`streams.flow.uncounted`). Both kinds of a shard lie
in one database (`streams.flow.shard_states`), each with checkpoints of its own.

Keys, after the kind's own: `m` -> whose they are, checkpoints and numbers of states; `p` -> what is pending; `s` + name
-> state as of what counts. Each state is written twice: as pending, and in its place.
"""

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from rocksdict import Rdict, WriteBatch

from index.database import disk_errno, says_busy, told
from index.owner import Owner
from streams.flow.state import damaged
from wire.durable import storage_error
from wire.errors import CodaError, InputError, StorageError


class Kind(Enum):
    """What states are of, and what their keys begin with."""

    USERS = b"u"
    ITEMS = b"i"


class Meta(msgspec.Struct, frozen=True, array_like=True):
    """Whose states they are, the last checkpoint, and the one that counts; of both, how many states there were:
    RocksDB's iterators end at a damaged block without a word."""

    owner: Owner
    last: int = 0
    counts: int = 0
    states_last: int = 0
    states: int = 0


_encoder = msgspec.msgpack.Encoder()
_meta = msgspec.msgpack.Decoder(Meta)
_changes = msgspec.msgpack.Decoder(dict[str, bytes | None])


class StateStore:
    """`operators.saved_states.SavedStates` in an open database; `resume` comes first."""

    def __init__(self, folder: Path, db: Rdict, kind: Kind, owner: Owner, batch: Callable[[], WriteBatch]) -> None:
        self._folder, self._db, self._owner, self._batch = folder, db, owner, batch
        self.of = kind.name.lower()  # in words
        self._meta, self._pended, self._state = (kind.value + each for each in (b"m", b"p", b"s"))
        self._at = Meta(owner)
        self._pending: Mapping[str, bytes | None] = {}

    def look(self, checkpoint: int | None) -> int:
        """How many there are; reads all that `resume` would, changes nothing, and raises what that does.

        None where it is not known from which checkpoint that would be.
        """
        self._at, self._pending = self._read()
        if checkpoint is not None:
            self._has(self._at, checkpoint)
        for _ in self._states():
            pass
        return self._at.states_last

    def resume(self, checkpoint: int | None) -> Iterator[tuple[str, bytes]]:
        """All states by name as of that checkpoint, the last or the one before; None begins with none.

        Raises `InputError` where they are not there, or another's, and `StorageError`.
        """
        batch, (at, pending) = self._batch(), self._read()
        if checkpoint is None:
            batch.delete_range(self._state, self._state + b"\xff")  # no byte of UTF-8
            at = Meta(self._owner, at.last, at.last)
        elif self._has(at, checkpoint) == at.last:
            self._settle(batch, pending)
            at = replace(at, counts=at.last if pending else at.counts, states=at.states_last)
        else:
            at = replace(at, states_last=at.states)
        self._write(batch, {}, at)
        yield from self._states()

    @property
    def checkpoint(self) -> int:
        """The checkpoint that was saved last, or from which the dataflow went on since."""
        return self._at.last if self._pending else self._at.counts

    def get(self, name: str) -> bytes:
        """The newest state that was saved under a name that has one; raises `InputError` where it is gone."""
        with told(self._folder, rocksdb_error):
            state = self._pending[name] if name in self._pending else self._db.get(self._state + name.encode())
        if state is None:
            raise self._damaged(f"one of the {self.of} cannot be read")
        return state

    def save(self, changes: Mapping[str, bytes | None], states: int) -> int:
        """Save new states by name, None of who left, so that there are so many `states`; returns the new checkpoint.

        They are on disk when this returns. Raises `StorageError`.
        """
        batch = self._batch()
        self._settle(batch, self._pending)
        at = Meta(self._owner, self._at.last + 1, self.checkpoint, states, self._at.states_last)
        self._write(batch, changes, at)
        with told(self._folder, rocksdb_error):
            self._db.flush_wal(True)
        return self._at.last

    def _read(self) -> tuple[Meta, Mapping[str, bytes | None]]:
        with told(self._folder, rocksdb_error):
            raw, pending = self._db.get(self._meta), self._db.get(self._pended)
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
            raise self._damaged(f"{self.of} are at checkpoint {at.last}, not {checkpoint}")
        return checkpoint

    def _states(self) -> Iterator[tuple[str, bytes]]:
        done = 0
        with told(self._folder, rocksdb_error):
            items: Iterator[Any] = self._db.items(from_key=self._state)  # bytes, in raw mode
        while (item := self._next(items)) and item[0].startswith(self._state):
            done += 1
            yield item[0][len(self._state) :].decode(), item[1]
        if done != self._at.states:
            raise self._damaged(f"{done} of {self._at.states} {self.of} can be read")

    def _next(self, items: Iterator[Any]) -> Any:
        with told(self._folder, rocksdb_error):
            return next(items, None)

    def _write(self, batch: WriteBatch, pending: Mapping[str, bytes | None], at: Meta) -> None:
        batch.put(self._pended, _encoder.encode(pending))
        batch.put(self._meta, _encoder.encode(at))
        with told(self._folder, rocksdb_error):
            self._db.write(batch)
        self._at, self._pending = at, pending

    def _settle(self, batch: WriteBatch, pending: Mapping[str, bytes | None]) -> None:
        """What was pending counts."""
        for name, state in pending.items():
            if state is None:
                batch.delete(self._state + name.encode())
            else:
                batch.put(self._state + name.encode(), state)

    def _damaged(self, what: str) -> InputError:
        return damaged(self._folder.parent, f"{self._folder.name}: {what}")


def rocksdb_error(folder: Path, text: str) -> CodaError:
    """What RocksDB complains of, as the state's error."""
    if says_busy(text):
        return StorageError(f"{folder} is open in another process: stop that one, or give another --state")
    if (number := disk_errno(text)) is not None:
        return storage_error(number, folder)
    return damaged(folder.parent, f"{folder.name}: {text}")
