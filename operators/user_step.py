"""The per-user step of the dataflow: all users of a pool shard are one key, on the worker of their shard."""

from collections.abc import Callable, Iterable
from datetime import datetime

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.decode import Arrival, Asked
from operators.packed import Packed
from operators.placement import shard_key
from operators.saved_states import Saved
from operators.shard_users import ShardUsers
from operators.user import UserOutput
from wire.clock import Clock, after
from wire.ids import user_key

SLACK_MS = 1_000  # that the time of a stream may lag: candidates for a request are as much older
# Bytewax wakes by the wall clock. When that steps back, who waits is looked at after the step and this, at the latest.
LOOK_AGAIN_MS = 120_000


class Came(Packed, frozen=True, array_like=True, gc=False):
    """What came for the users of one shard, in order."""

    shard: int
    came: list[Arrival | Asked]


def by_shard(keyed: Iterable[tuple[str, Arrival | Asked]], shards: int) -> list[tuple[str, Came]]:
    """What came, keyed by user, as one item for each shard that has any: a user's shard is where its samples go."""
    parts: list[list[Arrival | Asked]] = [[] for _ in range(shards)]
    for user_id, one in keyed:
        parts[user_key(user_id) % shards].append(one)
    return [(shard_key(shard, shards), Came(shard, part)) for shard, part in enumerate(parts) if part]


class UsersLogic(StatefulBatchLogic[Came, UserOutput, Saved]):
    """`ShardUsers` in a dataflow; `open_users` gives those of a shard as of a checkpoint, None of who are new.

    `users` are to be read by others, None before the first of them came.
    """

    def __init__(
        self, saved: Saved | None, open_users: Callable[[int, int | None], ShardUsers], *, clock: Clock
    ) -> None:
        self._open_users, self._clock = open_users, clock
        self._shard = 0
        self.users: ShardUsers | None = None
        if saved is not None:
            self._open(*saved)

    def on_batch(self, values: list[Came]) -> tuple[list[UserOutput], bool]:
        """Take what came for the users of the shard."""
        users = self._open(values[0].shard, None) if self.users is None else self.users
        return [users.handle([one for value in values for one in value.came])], self.RETAIN

    def on_notify(self) -> tuple[list[UserOutput], bool]:
        """Somebody may have waited long enough; a match may have come in between, or the wall clock gone ahead."""
        assert self.users is not None, "only a shard with users is notified"
        return self.users.waited(), self.RETAIN

    def notify_at(self) -> datetime | None:
        """When somebody will have waited long enough; no later than `LOOK_AGAIN_MS` from now."""
        left_ms = None if self.users is None else self.users.left_ms
        return None if left_ms is None else after(self._clock, min(left_ms, LOOK_AGAIN_MS))

    def snapshot(self) -> Saved:
        """The users are on disk when this returns; of them, only the checkpoint."""
        assert self.users is not None, "a key without a value has no state"
        return Saved(self._shard, self.users.sync())

    def _open(self, shard: int, checkpoint: int | None) -> ShardUsers:
        self._shard = shard
        self.users = self._open_users(shard, checkpoint)
        return self.users


def user_step(
    step_id: str,
    up: KeyedStream[Arrival | Asked],
    shards: int,
    *,
    open_users: Callable[[int, int | None], ShardUsers],
    clock: Clock,
) -> KeyedStream[UserOutput]:
    """`ShardUsers.handle` in a dataflow, by `clock`."""
    came: KeyedStream[Came] = op.flat_map_batch(f"{step_id}_shards", up, lambda keyed: by_shard(keyed, shards))
    return op.stateful_batch(step_id, came, lambda saved: UsersLogic(saved, open_users, clock=clock))
