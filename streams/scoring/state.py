"""A scorer at rest: the service with everything it has learned, and how far it has read, in one SQLite file.

What the file holds was true at one moment, of positions and service alike, since one transaction writes it; of a
snapshot only what changed is written. Nothing in it is code: numbers, strings and arrays, and trees as text.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from xxhash import xxh3_128_digest

from models.streamed.people import People
from models.streamed.rest import Rest
from streams.base.training import Hand, at_once
from streams.bus import Partition
from streams.scoring.scorer import Scorer, ScorerState
from wire.durable import open_database, settle, sync, told
from wire.errors import InputError, StorageError
from wire.moments import SteadyMs

FORMAT = "coda-score-5"
FILE = "score.sqlite"
_FRESH = "new.sqlite"
_BLOCK = "block "  # before the number of a block that trees are trained on, which stays what it is
_ARRAY = 1  # the extension type of MessagePack that is an array
_USER_BYTES = 8
_PEOPLE = "(place INTEGER PRIMARY KEY, user BLOB UNIQUE, data BLOB, digest BLOB)"
_TABLES = f"""
    PRAGMA journal_mode = TRUNCATE;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS scorer (one INTEGER PRIMARY KEY CHECK (one = 1), document BLOB, digest BLOB);
    CREATE TABLE IF NOT EXISTS parts (name TEXT PRIMARY KEY, data BLOB);
    CREATE TABLE IF NOT EXISTS people {_PEOPLE};
    CREATE TABLE IF NOT EXISTS came {_PEOPLE};
"""


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of the scorer, the offset that comes next per partition, what the parts' bytes hash to, and of how
    many people each table is."""

    format: str
    scorer: ScorerState
    positions: dict[Partition, int]
    parts: dict[str, bytes]
    people: dict[str, int]


Row = tuple[bytes, bytes, bytes]  # a user, what is kept of them, and what both hash to


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A scorer at one moment: its `document`, the parts that changed and what all hash to, and by table the people who
    did something, and how many there are."""

    document: bytes
    changed: dict[str, bytes]
    parts: dict[str, bytes]
    people: dict[str, tuple[list[Row], int]]


class ScoringState:
    """The state of a scorer in `folder`, which is there."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / FILE
        self._parts: dict[str, bytes] = {}  # by name, what the bytes on disk hash to

    def snapshot(self, scorer: Scorer, positions: Mapping[Partition, int], steady_ms: SteadyMs) -> Snapshot:
        """The scorer as it is, for `put`: it has read up to `positions`, and what it said is in Kafka.

        Nobody may ask for the next before this one is on disk.
        """
        service = scorer.service
        packed = {name: _pack(state) for name, state in service.state().items()}
        blocks = {f"{_BLOCK}{number}": state for number, state in service.blocks().items()}
        packed |= {name: _pack(state) for name, state in blocks.items() if name not in self._parts}
        parts = {name: self._parts.get(name) or xxh3_128_digest(packed[name]) for name in blocks}
        parts |= {name: xxh3_128_digest(data) for name, data in packed.items()}
        people = _people_of(scorer)
        document = _Document(
            format=FORMAT,
            scorer=scorer.state(steady_ms),
            positions=dict(positions),
            parts=parts,
            people={table: len(each) for table, each in people.items()},
        )
        return Snapshot(
            document=msgspec.msgpack.encode(document),
            changed={name: data for name, data in packed.items() if parts[name] != self._parts.get(name)},
            parts=parts,
            people={table: (_rows(each), len(each)) for table, each in people.items()},
        )

    def put(self, snapshot: Snapshot) -> None:
        """Put it on disk, all of it or nothing, in whatever thread.

        Raises `StorageError`, after which this object is of no use, and `InputError` when the file is damaged.
        """
        begins = not self._file.exists()  # it appears whole: who is killed meanwhile begins anew
        self._drop_fresh()
        place = self._folder / _FRESH if begins else self._file
        try:
            self._put(place, snapshot)
        except StorageError:
            self._drop_fresh()  # of a disk that is full it would keep what there is
            raise
        with told(self._folder):
            if begins:
                settle(place, self._file)
            else:
                sync(self._folder)
        self._parts = snapshot.parts

    def _drop_fresh(self) -> None:
        with told(self._folder):
            for left in self._folder.glob(f"{_FRESH}*"):
                left.unlink()

    def _put(self, place: Path, snapshot: Snapshot) -> None:
        with open_database(place, self._damaged) as database:
            database.executescript(_TABLES)
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT OR REPLACE INTO parts VALUES (?, ?)", snapshot.changed.items())
            gone = self._parts.keys() - snapshot.parts
            database.executemany("DELETE FROM parts WHERE name = ?", [(name,) for name in gone])
            for table, (rows, number) in snapshot.people.items():
                _put_people(database, table, rows, number)
            digest = xxh3_128_digest(snapshot.document)
            database.execute("INSERT OR REPLACE INTO scorer VALUES (?, ?, ?)", (1, snapshot.document, digest))
            database.execute("COMMIT")

    def resume(self, steady_ms: SteadyMs, hand: Hand = at_once) -> tuple[Scorer, dict[Partition, int]] | None:
        """The scorer at rest here and the offset that comes next per partition, None when there is none. What it was
        training the `hand` trains anew.

        Raises `InputError` when it cannot be used.
        """
        with told(self._file):
            if not self._file.exists():
                return None
        with open_database(self._file, self._damaged) as database:
            document = self._document(database)
            parts = self._read_parts(database, document)
            scorer = Scorer(document.scorer.made, hand)
            blocks = {int(name.removeprefix(_BLOCK)): parts.pop(name) for name in [*parts] if name.startswith(_BLOCK)}
            scorer.service.restore(parts, blocks)
            for table, people in _people_of(scorer).items():
                self._read_people(database, table, people)
                if len(people) != document.people[table]:
                    raise self._damaged()
        scorer.restore(document.scorer, steady_ms)
        self._parts = document.parts
        return scorer, document.positions

    def _document(self, database: sqlite3.Connection) -> _Document:
        row = database.execute("SELECT document, digest FROM scorer").fetchone()
        whole = database.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",)
        if not whole or row is None or not isinstance(row[0], bytes) or xxh3_128_digest(row[0]) != row[1]:
            raise self._damaged()
        try:
            document = msgspec.msgpack.decode(row[0], type=_Document)
        except msgspec.ValidationError as error:  # whole, and of another time
            raise self._other() from error
        if document.format != FORMAT:
            raise self._other()
        return document

    def _read_parts(self, database: sqlite3.Connection, document: _Document) -> dict[str, Rest]:
        parts = dict(database.execute("SELECT name, data FROM parts").fetchall())
        if {name: xxh3_128_digest(data) for name, data in parts.items()} != document.parts:
            raise self._damaged()
        return {name: _unpack(data) for name, data in parts.items()}

    def _read_people(self, database: sqlite3.Connection, table: str, people: People[Any]) -> None:
        for user, data, digest in database.execute(f"SELECT user, data, digest FROM {table} ORDER BY place"):
            if _digest(user, data) != digest:
                raise self._damaged()
            people.restore(int.from_bytes(user, "little"), _unpack(data))

    def _damaged(self) -> InputError:
        return InputError(
            f"{self._file} is damaged, or no state of a scorer: put it back from a copy, or give another --state, and "
            "it begins anew by --initial-log"
        )

    def _other(self) -> InputError:
        return InputError(
            f"{self._file} is of another version of this program, which reads {FORMAT!r}: give another --state, and it "
            "begins anew by --initial-log"
        )


def _people_of(scorer: Scorer) -> dict[str, People[Any]]:
    """By table, what is kept of each user."""
    return {"people": scorer.service.people, "came": scorer.came}


def _rows(people: People[Any]) -> list[Row]:
    changes = [(user.to_bytes(_USER_BYTES, "little"), _pack(state)) for user, state in people.changes()]
    return [(user, data, _digest(user, data)) for user, data in changes]


def _put_people(database: sqlite3.Connection, table: str, rows: Sequence[Row], number: int) -> None:
    """Whoever did something last has the last place; of more than `number` the first go, as in memory."""
    database.executemany(f"INSERT OR REPLACE INTO {table} (user, data, digest) VALUES (?, ?, ?)", rows)
    (kept,) = database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
    database.execute(
        f"DELETE FROM {table} WHERE place IN (SELECT place FROM {table} ORDER BY place LIMIT ?)", (kept - number,)
    )


def _digest(user: bytes, data: bytes) -> bytes:
    return xxh3_128_digest(user + data)


def _pack(state: Rest) -> bytes:
    return msgspec.msgpack.encode(state, enc_hook=_array)


def _unpack(data: bytes) -> Rest:
    return msgspec.msgpack.decode(data, ext_hook=_from_array)


def _array(array: Any) -> msgspec.msgpack.Ext:
    assert isinstance(array, np.ndarray) and array.dtype.kind in "uif", "a state is made of numbers, bytes and arrays"
    header = msgspec.msgpack.encode((array.dtype.str, array.shape, array.tobytes()))
    return msgspec.msgpack.Ext(_ARRAY, header)


def _from_array(code: int, data: memoryview) -> Any:
    assert code == _ARRAY, "there is no other extension"
    dtype, shape, raw = msgspec.msgpack.decode(data, type=tuple[str, tuple[int, ...], bytes])
    return np.frombuffer(bytearray(raw), dtype).reshape(shape)
