"""A database in memory that stands for RocksDB on a disk: what is not synced is lost when the power goes."""

import errno
import os
from bisect import bisect_left
from collections.abc import Iterator


class Batch:
    """Writes that are done together."""

    def __init__(self) -> None:
        self.puts: dict[bytes, bytes | None] = {}  # None where a key goes
        self.ranges: list[tuple[bytes, bytes]] = []

    def put(self, key: bytes, value: bytes) -> None:
        """Write one value."""
        self.puts[bytes(key)] = bytes(value)

    def delete(self, key: bytes) -> None:
        """Delete one key."""
        self.puts[bytes(key)] = None

    def delete_range(self, first: bytes, end: bytes) -> None:
        """Delete all keys from `first` up to, not including, `end`."""
        self.ranges.append((bytes(first), bytes(end)))


class Disk:
    """The databases of one machine, by path; `full` refuses every write."""

    def __init__(self) -> None:
        self.full = False
        self._databases: dict[str, MemoryDb] = {}

    def open(self, path: str) -> "MemoryDb":
        """The database at `path`, with what was written to it."""
        return self._databases.setdefault(path, MemoryDb(self))

    def power_cut(self, kept: float) -> int:
        """Lose what is not synced but for the first `kept` share of it, as a disk writes in order; how many writes."""
        return sum(database.lose(kept) for database in self._databases.values())


class MemoryDb:
    """As much of RocksDB's interface as stores use, in raw mode."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._rows: dict[bytes, bytes] = {}
        self._keys: list[bytes] | None = []
        self._synced: dict[bytes, bytes] = {}
        self._since: list[Batch] = []  # since the last sync

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""
        return self._rows.get(key)

    def keys(self, from_key: bytes = b"") -> Iterator[bytes]:
        """Keys in order, from one on."""
        ordered = self._ordered()
        yield from ordered[bisect_left(ordered, from_key) :]

    def items(self, from_key: bytes = b"", backwards: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values in order, from a key on, as they are now."""
        ordered = self._ordered()
        at = bisect_left(ordered, from_key)
        keys = ordered[:at][::-1] if backwards else ordered[at:]
        return iter([(key, self._rows[key]) for key in keys])

    def write(self, batch: Batch) -> None:
        """All of the batch, or nothing of it; raises `OSError` on a full disk."""
        if self._disk.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        _apply(self._rows, batch)
        self._since.append(batch)
        self._keys = None

    def delete_range(self, first: bytes, end: bytes) -> None:
        """Delete all keys from `first` up to, not including, `end`."""
        batch = Batch()
        batch.delete_range(first, end)
        self.write(batch)

    def flush_wal(self, sync: bool) -> None:
        """Everything so far outlives a power cut."""
        if self._disk.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if sync:
            self._since = []
            self._synced = dict(self._rows)

    def flush(self) -> None:
        """The same."""
        self.flush_wal(True)

    def close(self) -> None:
        """Nothing is lost by it."""

    def lose(self, kept: float) -> int:
        """What a power cut does; how many writes are gone."""
        stay = round(kept * len(self._since))
        gone = len(self._since) - stay
        self._rows = dict(self._synced)
        for batch in self._since[:stay]:
            _apply(self._rows, batch)
        self._since, self._keys = self._since[:stay], None
        return gone

    def _ordered(self) -> list[bytes]:
        if self._keys is None:
            self._keys = sorted(self._rows)
        return self._keys


def _apply(rows: dict[bytes, bytes], batch: Batch) -> None:
    for first, end in batch.ranges:
        for key in [key for key in rows if first <= key < end]:
            del rows[key]
    for key, value in batch.puts.items():
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value
