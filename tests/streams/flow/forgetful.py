"""`coda flow` on a disk that keeps of a pool what was synced: `pool.synced` is what a power cut leaves."""

import shutil

from index.store import Store
from streams.cli import main


def sync(self: Store) -> int:
    """`Store.sync`, and then what the disk holds for certain."""
    writes = really_sync(self)
    kept = self.path.parent.with_name("pool.synced") / self.path.name
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(self.path, kept)
    return writes


if __name__ == "__main__":
    really_sync = Store.sync
    Store.sync = sync  # type: ignore[method-assign]
    main()
