"""Make a pool on disk whole again: keep every row that can be read, in a fresh database that takes its place."""

from pathlib import Path
from shutil import rmtree

import msgspec

from index.database import PoolBusy, recover, repair, replaced
from index.pool import Progress
from index.store import Store
from wire.durable import settle, told
from wire.errors import PoolError


class Rebuilt(msgspec.Struct, frozen=True):
    """What a rebuild did; `lost` samples could not be read."""

    kept: int
    lost: int
    bytes_before: int
    bytes_after: int


def rebuild_on_disk(path: Path, progress: Progress) -> Rebuilt:
    """Copy what can be read of the pool at `path` into a fresh one and put that in its place.

    Reports (rows done, rows in all). An interrupted rebuild leaves the pool as it was, or rebuilt. Raises `PoolError`
    when another process has it open, or when its settings are gone, and `StorageError`.
    """
    path = path.resolve()
    fresh, old = path.with_name(f"{path.name}.rebuilding"), replaced(path)
    with told(path):
        recover(path)
        rmtree(fresh, ignore_errors=True)
        store = _opened(path)
        try:
            rebuilt = _copy(store, fresh, progress)
        finally:
            store.close()
        settle(path, old)
        settle(fresh, path)
        rmtree(old)
    return rebuilt


def _opened(path: Path) -> Store:
    try:
        return Store.open(path, None)
    except PoolBusy:
        raise
    except PoolError:
        repair(path)
        return Store.open(path, None)


def _copy(store: Store, to: Path, progress: Progress) -> Rebuilt:
    copy, kept, total = Store.open(to, store.spec), 0, store.state.live
    try:
        for block in store.salvage():
            kept += len(block)
            copy.write(block, msgspec.structs.replace(store.state, live=kept))
            progress(kept, total)
        copy.writes, copy.owner = store.writes, store.owner
        copy.adopt(msgspec.structs.replace(store.state, live=kept))
        copy.flush()
        return Rebuilt(kept, max(0, total - kept), store.disk_bytes(), copy.disk_bytes())
    finally:
        copy.close()
