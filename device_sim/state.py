"""A fleet at rest: everything that must survive a restart, in one SQLite file beside the cloud models.

What the file holds was true at one moment; whoever keeps stream positions keeps them in the same transaction, so that
a resumed fleet reads on exactly where this one stood. Of a snapshot only what changed is written: the parts
(`device_sim.at_rest`) of devices that did something since the last one, where their digest is another.
"""

import shutil
import sqlite3
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import msgspec
from xxhash import xxh3_128, xxh3_128_digest

from device_sim.at_rest import PARTS, DeviceAtRest, Parts, restore_device
from device_sim.due import Due
from device_sim.fleet import Fleet
from device_sim.offer import Offer
from device_sim.record import STATE
from models.artefact import load_model, save_model
from models.cloud_model import CloudModel
from monitor.metrics import Metrics
from wire.durable import make_folder, open_database, sync, told
from wire.errors import ArtefactError, InputError
from wire.identity import NO_MODEL, ModelId
from wire.task import Task

FORMAT = "coda-fleet-21"
_MODELS = "models"
AT_ONCE = 128  # devices taken down in one go: some 50 µs each, 7 ms
REPORTS = 1 << 20  # more than a device sends in one run, at one a second in twelve days
_DIGESTS = 1 << 128  # the digests of all parts are added up modulo this: a part that is lost shows, too
_TABLES = """
    PRAGMA journal_mode = TRUNCATE;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS fleet (one INTEGER PRIMARY KEY CHECK (one = 1), document BLOB, digest BLOB);
    CREATE TABLE IF NOT EXISTS parts (user_id TEXT, part TEXT, data BLOB, digest BLOB, PRIMARY KEY (user_id, part));
"""


class _Shared(msgspec.Struct, frozen=True):
    """What is the fleet's and no device's. `positions` are the caller's: the offset that comes next, per partition."""

    format: str
    uploads: bool
    boot: int
    sequence: int
    wanting: list[str]
    model: ModelId
    model_size: int
    task: Task | None
    task_size: int
    counts: list[tuple[str, str, int]]
    positions: dict[str, dict[int, int]]
    recorded: dict[str, int]
    parts: bytes = b""  # the sum of their digests


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What is to be written; None is a device that is gone."""

    shared: _Shared
    models: dict[int, CloudModel]
    devices: dict[str, DeviceAtRest | None]


@dataclass(frozen=True, slots=True)
class Resumed:
    """A fleet that was at rest, all its devices offline, and what was noted with it."""

    fleet: Fleet
    positions: dict[str, dict[int, int]]
    recorded: dict[str, int]


class FleetState:
    """The state of a fleet in `folder`. `note` is quick, and `write` may run in another thread meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / STATE
        self._noted: _Snapshot | None = None

    def note(self, fleet: Fleet, positions: dict[str, dict[int, int]], recorded: dict[str, int]) -> None:
        """Take down the fleet as it is now; `positions` per topic and partition, `recorded` how far its records go."""
        for _ in self.noting(fleet, positions, recorded):
            pass

    def noting(
        self, fleet: Fleet, positions: dict[str, dict[int, int]], recorded: dict[str, int]
    ) -> Generator[None, None, None]:
        """The same, `AT_ONCE` devices at a time: between them the fleet may go on, and none of that shows."""
        fleet.changes.begin()
        shared = _Shared(
            format=FORMAT,
            uploads=fleet.uploads,
            boot=fleet.boot,
            sequence=fleet.sequence,
            wanting=list(fleet.due),
            model=fleet.offer.model.id if fleet.offer.model else NO_MODEL,
            model_size=fleet.offer.model_size,
            task=fleet.offer.task,
            task_size=fleet.offer.task_size,
            counts=[(what, outcome, n) for (what, outcome), n in fleet.counts.items()],
            positions=positions,
            recorded=recorded,
        )
        models = dict(fleet.store.models)
        while fleet.changes.go_on(AT_ONCE):
            yield
        unwritten = self._noted.devices if self._noted is not None else {}
        self._noted = _Snapshot(shared, models, unwritten | fleet.changes.taken())

    def write(self) -> None:
        """Put what was noted on disk, all of it or nothing; models that no device uses are deleted.

        Raises `StorageError`, after which it may be tried again, and `InputError` when the file is damaged.
        """
        snapshot = self._noted
        assert snapshot is not None, "there is something to write"
        make_folder(self._folder / _MODELS)
        for key, model in snapshot.models.items():
            if not self._model(key).exists():
                save_model(model, self._model(key))
        with open_database(self._file, self._damaged) as database:
            database.executescript(_TABLES)
            database.execute("BEGIN IMMEDIATE")
            before = self._shared(database)
            total = int.from_bytes(before.parts, "little") if before else 0
            total += sum(_put(database, u, rest.parts() if rest else {}) for u, rest in snapshot.devices.items())
            shared = msgspec.structs.replace(snapshot.shared, parts=(total % _DIGESTS).to_bytes(16, "little"))
            document = msgspec.msgpack.encode(shared)
            row = 1, document, xxh3_128_digest(document)
            database.execute("INSERT OR REPLACE INTO fleet VALUES (?, ?, ?)", row)
            database.execute("COMMIT")
        with told(self._folder):
            sync(self._folder)
        while snapshot.devices:  # one by one: all at once they would hold up whoever has the interpreter next
            snapshot.devices.popitem()
        for key in self._models() - snapshot.models.keys():
            shutil.rmtree(self._model(key))

    def resume(self, metrics: Metrics, *, uploads: bool, seed: int, now_ms: int) -> Resumed | None:
        """The fleet at rest here, None when there is none; raises `InputError` when it cannot be used.

        What it reports is newer than what a fleet reported that went on from this state before and was killed, if the
        caller writes its state before anything goes up; by the wall clock `now_ms` also where the state is an old copy.
        """
        with told(self._file):
            if not self._file.exists():
                return None
        with open_database(self._file, self._damaged) as database:
            shared = self._shared(database)
            if shared is None:
                raise self._damaged()
            if shared.uploads != uploads:
                raise InputError(f"{self._folder} is of a fleet with the other --own: give another --state and --out")
            sequence = max(shared.sequence + REPORTS, now_ms)
            fleet = Fleet(metrics, uploads=uploads, seed=seed, boot=shared.boot, sequence=sequence)
            fleet.offer = Offer(None, shared.model_size, shared.task, shared.task_size)
            for user_id, parts in self._devices(database, shared):
                fleet.adopt(restore_device(user_id, parts, sequence, uploads=uploads))
        fleet.due = Due(shared.wanting)
        fleet.counts.update({(what, outcome): n for what, outcome, n in shared.counts})
        in_use = {device.model for device in fleet.devices.values()} | {shared.model}
        fleet.store.models = {model.key: self._load(model) for model in in_use - {NO_MODEL}}
        fleet.offer.model = fleet.store.models.get(shared.model.key)
        fleet.changes.forget()
        return Resumed(fleet, shared.positions, shared.recorded)

    def _shared(self, database: sqlite3.Connection) -> _Shared | None:
        row = database.execute("SELECT document, digest FROM fleet").fetchone()
        if row is None:
            return None
        if not isinstance(row[0], bytes) or xxh3_128_digest(row[0]) != row[1]:
            raise self._damaged()
        shared = msgspec.msgpack.decode(row[0], type=_Shared)
        if shared.format != FORMAT:
            raise InputError(
                f"{self._file} has format {shared.format!r}, this code reads {FORMAT!r}: give another --state and --out"
            )
        return shared

    def _devices(self, database: sqlite3.Connection, shared: _Shared) -> Iterator[tuple[str, Parts]]:
        """All devices, oldest first; raises `InputError` for a damaged one, and after the last when any is missing."""
        if database.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
            raise self._damaged()
        rows = database.execute("SELECT user_id, part, data, digest FROM parts ORDER BY rowid")
        total = 0
        for user_id, of_device in groupby(rows, key=itemgetter(0)):  # they were inserted together
            parts: Parts = {}
            for _, part, data, digest in of_device:
                if not isinstance(data, bytes) or _digest(user_id, part, data) != digest:
                    raise self._damaged()
                parts[part] = data
                total += int.from_bytes(digest, "little")
            if parts.keys() != PARTS:
                raise self._damaged()
            yield user_id, parts
        if (total % _DIGESTS).to_bytes(16, "little") != shared.parts:
            raise self._damaged()

    def _load(self, wanted: ModelId) -> CloudModel:
        """A model that devices use; raises `InputError` when another one, or none, is in its place."""
        try:
            model = load_model(self._model(wanted.key))
            if model.id != msgspec.structs.replace(wanted, digest=wanted.digest or model.digest):
                raise ArtefactError(f"{self._model(wanted.key)} holds {model.id}, not {wanted}")
            return replace(model, digest=wanted.digest)  # none where it had not travelled
        except ArtefactError as error:
            raise InputError(
                f"the fleet state in {self._folder} cannot be used ({error}): put it back from a copy, or give "
                "another --state and --out, and devices start anew"
            ) from error

    def _model(self, key: int) -> Path:
        return self._folder / _MODELS / str(key)

    def _models(self) -> set[int]:
        return {int(place.name) for place in (self._folder / _MODELS).glob("*") if place.name.isdecimal()}

    def _damaged(self) -> InputError:
        return InputError(
            f"{self._file} is damaged, or no fleet state of this version: put it back from a copy, or give another "
            "--state and --out, and devices start anew"
        )


def _put(database: sqlite3.Connection, user_id: str, parts: Parts) -> int:
    """Make these the parts of a device; returns by how much the sum of all digests grows."""
    held: dict[str, bytes] = dict(
        database.execute("SELECT part, digest FROM parts WHERE user_id = ?", (user_id,)).fetchall()
    )
    digests = {part: _digest(user_id, part, data) for part, data in parts.items()}
    changed = [part for part in parts if digests[part] != held.get(part)]
    database.executemany(
        "INSERT INTO parts VALUES (?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET data = excluded.data, digest = excluded.digest",
        [(user_id, part, parts[part], digests[part]) for part in changed],
    )
    database.executemany(
        "DELETE FROM parts WHERE user_id = ? AND part = ?", [(user_id, part) for part in held.keys() - parts.keys()]
    )
    return _sum(digests.values()) - _sum(held.values())


def _sum(digests: Iterable[bytes]) -> int:
    return sum(int.from_bytes(digest, "little") for digest in digests)


def _digest(user_id: str, part: str, data: bytes) -> bytes:
    digest = xxh3_128(repr((user_id, part)).encode())
    digest.update(data)
    return digest.digest()
