"""The pool on disk: RocksDB is the truth, everything in memory can be rebuilt from it.

Keys: `r` + place in the window -> payload; `v` + model + place -> logit and match key; `m` -> settings, state, whose.
Encodings live under the model that made them (8 bytes of its whole identity, since two models may have one number),
so that re-encoding is one atomic switch of the model.
Writes go to the write-ahead log, where they survive `kill -9`, and a power cut once `sync` has returned. Whoever
feeds the pool calls it before noting down that something needs not be sent again, and notes the number of
`writes` with it: a pool that has fewer has lost rows, whatever became of its log.
"""

from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
from rocksdict import Rdict, WriteBatch

from index.database import damaged, looked, open_db, orphans, told
from index.owner import Owner
from index.rows import (
    ENCODED,
    META,
    PAYLOAD,
    PAYLOAD_ROW,
    Rows,
    encoded_end,
    encoded_prefix,
    encoded_row,
    pack_encoded,
    pack_floor,
    pack_keys,
    pack_payload,
    unpack_encoded,
    unpack_keys,
    unpack_payload,
    unpack_rows,
)
from index.spec import PoolSpec
from index.window import EVERYTHING, Floor, above
from models.quorum import QuorumState
from models.sample import SampleBlock
from wire.arrays import I64, U64
from wire.errors import PoolError
from wire.identity import NO_MODEL, ModelId

FORMAT = 10  # raise when keys, rows or their shards change, or the states that a flow keeps beside its pool
AHEAD_ROWS, AHEAD_SHARE = 1024, 16  # places of so many of the oldest, or of 1/16 of all, are read at once
READ_ROWS = 4096  # rows per read; 4096 · 400 B = 1.6 MB
# Who reads them closes them: a traceback would keep them, and RocksDB stays locked while anybody iterates over it.
Chunks = Generator[tuple[list[bytes], list[bytes]], None, None]  # of keys, and of their values
Blocks = Generator[SampleBlock, None, None]


class State(msgspec.Struct, frozen=True):
    """What must change together with the rows: cloud model, event time, floor and size of the window.

    The size is how damage shows: RocksDB's iterators end at a damaged block without a word.
    """

    model: ModelId = NO_MODEL
    time: QuorumState = QuorumState()
    floor: Floor = EVERYTHING
    live: int = 0


class Meta(msgspec.Struct, frozen=True):
    """The one metadata record."""

    format: int
    spec: PoolSpec
    state: State
    writes: int = 0
    owner: Owner | None = None


def _batch() -> WriteBatch:
    return WriteBatch(raw_mode=True)


_NO_PLACES = np.zeros(0, np.int64), np.zeros(0, np.uint64)


class Store:
    """RocksDB behind one pool. Open with `Store.open`; one process writes, others may open it read-only."""

    def __init__(self, path: Path, db: Rdict, meta: Meta, batch: Callable[[], WriteBatch] = _batch) -> None:
        self.path = path
        self._db, self._batch = db, batch
        self.spec = meta.spec
        self.state = meta.state
        self.writes = meta.writes  # since the pool was made, those before a rebuild included
        self.owner = meta.owner  # the last one it worked for
        self._changed = True  # since the last sync
        self._oldest = _NO_PLACES  # all of the window up to the last one of these
        self._encoded_row = encoded_row(meta.spec.key_dim)

    @classmethod
    def open(cls, path: Path, spec: PoolSpec | None, read_only: bool = False) -> Self:
        """The store at `path`, made when it is not there and `spec` is given; without `spec`, its own.

        Raises `PoolError`: not a pool, another format or width, corrupt, or open in another process.
        """
        if not read_only and (path / "CURRENT").exists():
            looked(lambda: cls._check_orphans(path))
        db = open_db(path, read_only=read_only, new=spec is not None, strict=read_only)
        return cls.over(db, path, spec, read_only=read_only)

    @classmethod
    def over(
        cls,
        db: Rdict,
        path: Path,
        spec: PoolSpec | None,
        *,
        read_only: bool = False,
        batch: Callable[[], WriteBatch] = _batch,
    ) -> Self:
        """The store in an open database, which it closes; what takes the place of RocksDB has a `batch` of its own."""
        try:
            store = cls(path, db, _read_meta(path, db, spec), batch)
            if not read_only:
                store._tidy()
        except BaseException:
            db.close()
            raise
        return store

    @classmethod
    def _check_orphans(cls, path: Path) -> None:
        """Raise `PoolError` when rows are missing that a file may hold which RocksDB would delete."""
        db = open_db(path, read_only=True)
        try:
            if orphans(path, db) and db.get(META) is not None:
                for _ in cls(path, db, _read_meta(path, db, None)).read():
                    pass
        finally:
            db.close()

    def close(self) -> None:
        """Close the database; the store cannot be used any more."""
        with suppress(Exception):  # it tidies up, which a damaged or full disk may refuse: everything is in the log
            self._db.close()

    def sync(self) -> int:
        """See to it that a power cut takes nothing of what was written; returns the number of writes."""
        if self._changed:
            with told(self.path):
                self._db.flush_wal(True)
            self._changed = False
        return self.writes

    def own(self, owner: Owner) -> None:
        """Note whom it works for from now on."""
        self.owner = owner
        self._commit(self._batch(), self.state)

    def write(self, block: SampleBlock, state: State) -> None:
        """Add the encoded samples of `block` and change to `state`, both or neither."""
        self._expect_among_oldest(block)
        batch = self._batch()
        _put(batch, pack_keys(PAYLOAD, block.timestamp, block.sample), pack_payload(block))
        self._put_encoded(batch, block)
        self.writes += 1
        self._commit(batch, state)

    def write_encoded(self, block: SampleBlock) -> None:
        """Add encodings of a model that is not in use yet; they count once `adopt` is called."""
        batch = self._batch()
        self._put_encoded(batch, block)
        with told(self.path):
            self._db.write(batch)
        self._changed = True

    def drop_encoded(self, model: ModelId) -> None:
        """Drop the encodings of a model that will not be adopted."""
        with told(self.path):
            self._db.delete_range(encoded_prefix(model), encoded_end(model))

    def adopt(self, state: State) -> None:
        """Change to `state`, whose model's encodings have all been written, and drop the old ones."""
        batch = self._batch()
        if state.model != self.state.model:
            batch.delete_range(encoded_prefix(self.state.model), encoded_end(self.state.model))
        self._commit(batch, state)

    def evict(self) -> None:
        """Remove what is at or below the floor (which hides it already)."""
        with told(self.path):
            for prefix in (PAYLOAD, encoded_prefix(self.state.model)):
                self._db.delete_range(prefix, pack_floor(prefix, self.state.floor))

    def oldest(self, floor: Floor, n: int) -> tuple[I64, U64]:
        """Timestamps and sample keys of the up to n oldest samples above `floor`, oldest first."""
        timestamp, sample = self._oldest
        left = above(timestamp, sample, floor)
        if np.count_nonzero(left) < n:
            self._oldest = self._read_oldest(floor, max(n, min(AHEAD_ROWS, self.state.live // AHEAD_SHARE)))
        else:
            self._oldest = timestamp[left], sample[left]
        timestamp, sample = self._oldest
        return timestamp[:n], sample[:n]

    def read(self, rows: int = READ_ROWS) -> Iterator[SampleBlock]:
        """All samples that are in the window now, whatever is written meanwhile, oldest first, in blocks of `rows`.

        Raises `PoolError` when rows are damaged.
        """
        model = self.state.model
        encoded = self._read(encoded_prefix(model), rows)
        return self._encoded(self.read_payload(rows), encoded, model)

    def read_payload(self, rows: int = READ_ROWS) -> Blocks:
        """The same samples, not encoded."""
        return self._payload(self._read(PAYLOAD, rows), self.state.live)

    def salvage(self) -> Iterator[SampleBlock]:
        """What can be read of a damaged pool, oldest first, in blocks."""
        payload = self._readable(PAYLOAD, PAYLOAD_ROW.itemsize)
        encoded = self._readable(encoded_prefix(self.state.model), self._encoded_row.itemsize)
        keys = sorted(payload.keys() & encoded.keys())
        for at in range(0, len(keys), READ_ROWS):
            some = keys[at : at + READ_ROWS]
            block = unpack_payload(*unpack_keys(b"", some), unpack_rows(PAYLOAD_ROW, [payload[k] for k in some]))
            yield unpack_encoded(block, unpack_rows(self._encoded_row, [encoded[k] for k in some]), self.state.model)

    def flush(self) -> None:
        """Move what is in the write-ahead log into compressed files."""
        with told(self.path):
            self._db.flush()

    def disk_bytes(self) -> int:
        """Bytes of all files of the pool."""
        total = 0
        for file in self.path.iterdir():
            with suppress(FileNotFoundError):  # a flow tidies up meanwhile
                total += file.stat().st_size
        return total

    def _payload(self, chunks: Chunks, live: int) -> Blocks:
        done = 0
        with closing(chunks):
            for keys, values in chunks:
                done += len(keys)
                yield unpack_payload(*unpack_keys(PAYLOAD, keys), self._rows(PAYLOAD_ROW, values))
        if done != live:
            raise damaged(self.path, f"{done} of {live} samples can be read")

    def _encoded(self, blocks: Blocks, chunks: Chunks, model: ModelId) -> Blocks:
        with closing(blocks), closing(chunks):
            for block in blocks:
                keys, values = next(chunks, ([], []))
                if keys != pack_keys(encoded_prefix(model), block.timestamp, block.sample):
                    raise damaged(self.path, "samples and encodings differ")
                yield unpack_encoded(block, self._rows(self._encoded_row, values), model)

    def _rows(self, row: np.dtype[np.void], values: Sequence[bytes]) -> Rows:
        try:
            return unpack_rows(row, values)
        except ValueError as error:
            raise damaged(self.path, str(error)) from error

    def _read(self, prefix: bytes, n: int) -> Chunks:
        """What is above the floor under `prefix` now, n at a time: RocksDB's iterators see no later write."""
        with told(self.path):
            items: Iterator[Any] = self._db.items(from_key=pack_floor(prefix, self.state.floor))  # bytes, in raw mode
        return self._under(prefix, items, n)

    def _under(self, prefix: bytes, items: Iterator[Any], n: int) -> Chunks:
        inside = n
        while inside == n:
            with told(self.path):
                some = list(islice(items, n))
            inside = bisect_left(some, prefix + b"\xff" * 17, key=itemgetter(0))  # a look at each key takes longer
            if inside:
                yield [key for key, _ in some[:inside]], [value for _, value in some[:inside]]

    def _readable(self, prefix: bytes, width: int) -> dict[bytes, bytes]:
        """The same from both ends, since reading stops at damage; values of another width left out."""
        rows = {k[len(prefix) :]: v for chunk in self._read(prefix, READ_ROWS) for k, v in zip(*chunk, strict=True)}
        floor = pack_floor(prefix, self.state.floor)
        backwards: Iterator[Any] = self._db.items(backwards=True, from_key=prefix + b"\xff" * 16)
        for key, value in backwards:
            if key < floor or key[len(prefix) :] in rows:
                break
            rows[key[len(prefix) :]] = value
        return {place: value for place, value in rows.items() if len(value) == width}

    def _read_oldest(self, floor: Floor, n: int) -> tuple[I64, U64]:
        with told(self.path):
            keys: Iterator[Any] = self._db.keys(from_key=pack_floor(PAYLOAD, floor))  # bytes, in raw mode
            return unpack_keys(PAYLOAD, [key for key in islice(keys, n) if key.startswith(PAYLOAD)])

    def _expect_among_oldest(self, block: SampleBlock) -> None:
        """Forget the oldest where samples come that are as old as these."""
        timestamp, _ = self._oldest
        if len(timestamp) and len(block) and block.timestamp.min() <= timestamp[-1]:
            self._oldest = _NO_PLACES

    def _put_encoded(self, batch: WriteBatch, block: SampleBlock) -> None:
        _put(batch, pack_keys(encoded_prefix(block.model), block.timestamp, block.sample), pack_encoded(block))

    def _commit(self, batch: WriteBatch, state: State) -> None:
        batch.put(META, msgspec.json.encode(Meta(FORMAT, self.spec, state, self.writes, self.owner)))
        with told(self.path):
            self._db.write(batch)
        self.state = state
        self._changed = True

    def _tidy(self) -> None:
        """Drop encodings of models not in use (a re-encoding that was cut off) and remember the settings."""
        model = self.state.model
        with told(self.path):
            self._db.delete_range(ENCODED, encoded_prefix(model))
            self._db.delete_range(encoded_end(model), ENCODED + b"\xff" * 8)
        self._commit(self._batch(), self.state)


def _read_meta(path: Path, db: Rdict, spec: PoolSpec | None) -> Meta:
    with told(path):
        raw, anything = db.get(META), next(iter(db.keys()), None)
    if raw is None:
        if spec is None or anything is not None:
            raise PoolError(f"{path} is a database but not a pool: give the directory of a pool, or an empty one")
        return Meta(FORMAT, spec.checked(), State())
    found = _format_of(path, raw)
    if found != FORMAT:
        raise PoolError(
            f"pool {path} has format {found}, this program reads {FORMAT}: "
            "delete it and the flow's --state, to fill it again with what Kafka still has"
        )
    try:
        meta = msgspec.json.decode(raw, type=Meta)
    except msgspec.ValidationError as error:
        raise _unreadable(path) from error
    if spec is None:
        return meta
    if meta.spec.key_dim != spec.key_dim:
        raise PoolError(
            f"pool {path} holds match keys of width {meta.spec.key_dim}, not {spec.key_dim}: use another path"
        )
    return msgspec.structs.replace(meta, spec=spec.checked())


def _format_of(path: Path, raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)["format"]
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> PoolError:
    return PoolError(
        f"pool {path} has unreadable settings: delete it and the flow's --state, to fill it again with what Kafka "
        "still has"
    )


def _put(batch: WriteBatch, keys: list[bytes], values: list[bytes]) -> None:
    for key, value in zip(keys, values, strict=True):
        batch.put(key, value)
