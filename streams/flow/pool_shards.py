"""The pool's shards on disk: one folder each, opened by the process that owns them and by no other."""

import re
from pathlib import Path

from index.pool import Pool
from index.spec import PoolSpec
from streams.flow.shards import Shards
from wire.durable import make_folder
from wire.errors import PoolError
from wire.identity import NO_MODEL, ModelId


class PoolShards(Shards[Pool]):
    """The shards under one folder, opened when they are asked for.

    `shards` is fixed once there are some: a sample lies in shard `sample % shards`. Raises `CodaError`.
    """

    def __init__(self, folder: Path, shards: int, spec: PoolSpec) -> None:
        super().__init__()
        self._folder = folder
        self._spec = spec
        make_folder(folder)
        # The shards' number is in their names, so that it is there as soon as the first of them is.
        found = [re.match(r"shard-\d+-of-(\d+)", place.name) for place in sorted(folder.iterdir())]
        others = [name[0] for name in found if name and int(name[1]) != shards]
        if others:
            raise PoolError(
                f"the pool in {folder} has {others[0]}, and cannot be used with {shards} shards: "
                "give --shards as before, or another --pool and an empty --state to fill it anew from Kafka"
            )
        self._shards = shards

    def pool(self, shard: int) -> Pool:
        """The pool of one shard."""
        if shard not in self._open:
            self._open[shard] = Pool.open(self._folder / f"shard-{shard}-of-{self._shards}", self._spec)
        return self._open[shard]

    def live(self) -> dict[int, int]:
        """How many samples each open shard holds."""
        return {shard: len(pool) for shard, pool in self._open.items()}

    def model(self) -> ModelId:
        """The cloud model whose vectors all open shards hold; `NO_MODEL` where they differ, or there are none."""
        models = {pool.model for pool in self._open.values()}
        return models.pop() if len(models) == 1 else NO_MODEL

    def in_shadow(self) -> bool:
        """Whether any of them is between two models, and has work to do without any that comes."""
        return any(pool.in_shadow for pool in self._open.values())
