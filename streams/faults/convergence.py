"""Whether a run ended where the undisturbed one did: the same samples in the pool, each with the same history."""

from collections.abc import Sequence, Set
from pathlib import Path

import numpy as np
from xxhash import xxh3_64_hexdigest, xxh3_64_intdigest

from index.pool import Pool
from models.sample import SampleBlock
from streams.logs.initial_part import initial_samples
from wire.arrays import U64

# All of a sample but when it was produced and what cloud models made of it: two runs never agree on these.
_COLUMNS = ("sample", "user", "item", "category", "label", "times", "timestamp", "history_item", "history_category")


class Pooled:
    """The samples that a run's pool holds, by key: each one's user and a digest of what is known of it."""

    def __init__(self, samples: U64, users: U64, digests: U64) -> None:
        self._users = dict(zip(samples.tolist(), users.tolist(), strict=True))
        self._digests = dict(zip(samples.tolist(), digests.tolist(), strict=True))

    @property
    def samples(self) -> frozenset[int]:
        """Their keys."""
        return frozenset(self._digests)

    @property
    def digest(self) -> str:
        """Of all of them: 16 hexadecimal digits."""
        return xxh3_64_hexdigest(np.array(sorted(self._digests.items()), np.uint64).tobytes())

    def unlike(self, other: "Pooled", but_of: Set[int]) -> int:
        """How many are in one of the two only, or not the same in both; users `but_of` are passed over."""
        different = self._digests.items() ^ other._digests.items()
        users = self._users | other._users
        return len({sample for sample, _ in different if users[sample] not in but_of})


def read_pooled(folder: Path) -> Pooled:
    """What the pool in a run folder holds, its shards together; raises `PoolError`."""
    blocks: list[SampleBlock] = []
    for shard in sorted((folder / "pool").glob("shard-*")):
        with Pool.open(shard, read_only=True) as pool:
            blocks += pool.store.read()
    return pooled_of(blocks)


def read_logged(log: Path) -> Pooled:
    """What a pool has to hold once all events of a log came, those of each user in order; raises `InputError`."""
    return pooled_of([initial_samples(log, 1.0)])


def pooled_of(blocks: Sequence[SampleBlock]) -> Pooled:
    """The samples of some blocks."""
    rows = [np.hstack([_bytes_of(getattr(block, name)) for name in _COLUMNS]) for block in blocks]
    digests = [np.array([xxh3_64_intdigest(row.tobytes()) for row in some], np.uint64) for some in rows]
    columns = [block.sample for block in blocks], [block.user for block in blocks], digests
    return Pooled(*(np.concatenate([*column, np.empty(0, np.uint64)]) for column in columns))


def _bytes_of(column: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(column).reshape(len(column), -1).view(np.uint8)
