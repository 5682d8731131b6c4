import pickle

from models.quorum import Quorum
from monitor.metrics import Metrics
from operators.placement import shard_key
from operators.renewals import Renewals
from operators.residents import Meter, Residents, Stay
from operators.saved_states import Saved
from operators.shard_users import ShardUsers
from operators.user import MatchRules
from operators.user_step import LOOK_AGAIN_MS, Came, UsersLogic, by_shard
from tests.clock import HandClock
from tests.operators.arrivals import NOW_MS, RULES, arrival, asked_at
from tests.operators.in_memory import InMemory
from wire.identity import ModelId
from wire.ids import user_key


class Shards(HandClock):
    """The users of two shards, as a worker opens them."""

    def __init__(self, rules: MatchRules = RULES) -> None:
        super().__init__(NOW_MS)
        self.rules = rules
        self.saved = {shard: InMemory() for shard in range(2)}

    def open(self, shard: int, checkpoint: int | None) -> ShardUsers:
        metrics = Metrics()
        return ShardUsers(
            self.saved[shard],
            checkpoint,
            self.rules,
            clock=self,
            stream=Quorum(),
            residents=Residents(Stay(), Meter.of_users(metrics, metrics.users.set)),
            renewals=Renewals(lambda: ModelId("", 1), self),
        )

    def logic(self, saved: Saved | None = None) -> UsersLogic:
        return UsersLogic(saved, self.open, clock=self)


def test_what_came_goes_to_the_shard_of_its_user_in_order() -> None:
    keyed = [(f"user-{n % 5}", arrival(n, n, user_id=f"user-{n % 5}")) for n in range(40)]
    parts = by_shard(keyed, 3)
    for key, part in parts:
        assert key == shard_key(part.shard, 3)
        assert part.came == [one for user, one in keyed if user_key(user) % 3 == part.shard]
    assert sum(len(part.came) for _, part in parts) == 40 and by_shard([], 3) == []


def test_what_crosses_to_another_worker_arrives_as_it_was() -> None:
    came = Came(1, [arrival(1, 10), asked_at(77), arrival(2, 20)])
    assert pickle.loads(pickle.dumps(came)) == came


def test_a_shard_goes_on_from_what_bytewax_kept_of_it() -> None:
    shards = Shards()
    logic = shards.logic()
    assert logic.notify_at() is None
    (out,), discard = logic.on_batch([Came(1, [arrival(1, 0)]), Came(1, [arrival(2, 1)])])
    assert len(out.samples) == 2 and not discard
    saved = pickle.loads(pickle.dumps(logic.snapshot()))
    assert saved == Saved(1, 1) and not shards.saved[0].checkpoints[0]
    again = shards.logic(saved)
    assert again.notify_at() is not None and again.on_notify() == ([], False)
    shards.passes(1000)
    (out,), _ = again.on_notify()
    assert [query.reason for query in out.queries] == ["idle"] and again.notify_at() is None
    (out,), _ = again.on_batch([Came(1, [arrival(2, 1)])])
    assert out.duplicates == 1


def test_bytewax_is_never_told_to_wake_far_ahead_by_a_wall_clock_that_may_step_back() -> None:
    logic = Shards(MatchRules(freshness_budget_ms=86_400_000)).logic()
    logic.on_batch([Came(0, [arrival(1, 0), arrival(2, 1)])])
    wakes = logic.notify_at()
    assert wakes is not None and wakes.timestamp() - NOW_MS / 1000 <= LOOK_AGAIN_MS / 1000
