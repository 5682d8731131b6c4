"""The users of all pool shards on disk: one folder each in the dataflow's state, opened by the process that owns it."""

import re
from pathlib import Path

from index.owner import Owner
from streams.flow.shards import Shards
from streams.flow.state import state_name
from streams.flow.user_store import UserStore
from wire.errors import InputError


class UserShards(Shards[UserStore]):
    """The stores under one folder, opened when they are asked for; raises `CodaError`.

    A user is in shard `user % shards`, so with another number of shards they are of no use.
    """

    def __init__(self, folder: Path, shards: int) -> None:
        super().__init__()
        self._folder, self._shards, self.state = folder, shards, state_name(folder)
        if others := {owner.shards for owner in owners(folder).values()} - {shards}:
            raise InputError(
                f"the state in {folder} is of {others.pop()} shards, and cannot be used with {shards}: give --shards "
                "as before, or another --state; the flow then reads again what Kafka still has"
            )

    def store(self, shard: int) -> UserStore:
        """The users of one shard."""
        if shard not in self._open:
            owner = Owner(shard, self._shards, self.state)
            self._open[shard] = self._opened(f"users-{shard}-of-{self._shards}", owner)
        return self._open[shard]

    def _opened(self, name: str, owner: Owner) -> UserStore:
        return UserStore.open(self._folder / name, owner)


def owners(folder: Path) -> dict[Path, Owner]:
    """The folders of users in a state, each with the one that it should be of."""
    found = {place: re.fullmatch(r"users-(\d+)-of-(\d+)", place.name) for place in sorted(folder.glob("users-*"))}
    state = state_name(folder)
    return {place: Owner(int(name[1]), int(name[2]), state) for place, name in found.items() if name}
