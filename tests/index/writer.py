"""Writes a pool until it is killed: `python -m tests.index.writer PATH`. Prints each block's last key once it is in."""

import sys
import time
from pathlib import Path

from index.pool import Pool
from models.sample import SampleBlock
from tests.index.pools import small
from tests.index.samples import samples

BLOCK = 20
WINDOW = 300


def block_number(n: int) -> SampleBlock:
    first = 1 + n * BLOCK
    keys = range(first, first + BLOCK)
    return samples([1000 + key for key in keys], keys=keys, seed=n)


def main() -> None:
    out = sys.stdout
    with Pool.open(Path(sys.argv[1]), small(window_count=WINDOW)) as pool:
        start = int(sys.argv[2]) if len(sys.argv) > 2 else 0
        for n in range(start, 100_000):
            pool.upsert(block_number(n))
            if sys.argv[3:] == ["sync"]:
                pool.sync()
                out.write("synced\n")
                return
            out.write(f"{n}\n")
            out.flush()
            if len(sys.argv) > 3:
                time.sleep(60)  # holds the pool, for the test of the lock


if __name__ == "__main__":
    main()
