"""The states of all pool shards on disk: a folder each in the dataflow's state, opened by the process that owns it."""

import re
from pathlib import Path

from index.owner import Owner
from operators.placement import shard_key
from streams.flow.shard_states import ShardStates
from streams.flow.shards import Shards
from streams.flow.state import pooled_writes, state_name
from wire.errors import InputError, PoolError


class StateShards(Shards[ShardStates]):
    """The states under one folder, opened when they are asked for; raises `CodaError`.

    A user is in shard `user % shards` and an item in `item % shards`, so with another number of shards they are of no
    use.
    """

    def __init__(self, folder: Path, shards: int) -> None:
        super().__init__()
        self._folder, self._shards, self.state = folder, shards, state_name(folder)
        if others := {owner.shards for owner in owners(folder).values()} - {shards}:
            raise InputError(
                f"the state in {folder} is of {others.pop()} shards, and cannot be used with {shards}: give --shards "
                "as before, or another --state; the flow then reads again what Kafka still has"
            )

    def of(self, shard: int) -> ShardStates:
        """The states of one shard."""
        if shard not in self._open:
            owner = Owner(shard, self._shards, self.state)
            self._open[shard] = self._opened(f"states-{shard}-of-{self._shards}", owner)
        return self._open[shard]

    def _opened(self, name: str, owner: Owner) -> ShardStates:
        return ShardStates.open(self._folder / name, owner)


def owners(folder: Path) -> dict[Path, Owner]:
    """The folders of shards in a state, each with the one that it should be of."""
    found = {place: re.fullmatch(r"states-(\d+)-of-(\d+)", place.name) for place in sorted(folder.glob("states-*"))}
    state = state_name(folder)
    return {place: Owner(int(name[1]), int(name[2]), state) for place, name in found.items() if name}


def check_pool(pool: Path, state: Path) -> None:
    """Raise `PoolError` where a shard of the pool is gone that the state goes on from, of those on this host."""
    writes = pooled_writes(state)
    written = (of for of in owners(state).values() if writes.get(shard_key(of.shard, of.shards)))
    for shard in (pool / f"shard-{of.shard}-of-{of.shards}" for of in written):
        if not shard.is_dir():
            raise PoolError(
                f"{shard} is gone, and {state} goes on from it: put it back, or delete {state}, to fill the pool again "
                "with what Kafka still has"
            )
