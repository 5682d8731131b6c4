from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.quorum import Quorum
from monitor.metrics import Metrics
from operators.decode import Arrival, Asked
from operators.renewals import AT_ONCE_MS, EACH_MS, Renewals
from operators.residents import Meter, Residents, Stay
from operators.shard_users import ShardUsers
from operators.user import Query, UserOutput, UserState
from tests.clock import HandClock
from tests.operators.arrivals import NOW_MS, RULES, arrival, asked_at
from tests.operators.in_memory import InMemory
from wire.identity import NO_MODEL, ModelId
from wire.moments import EventMs
from wire.telemetry import ASIDE


class World(HandClock):
    """A wall clock that may be set, and one that may not; users who are saved and come back."""

    def __init__(self) -> None:
        super().__init__(NOW_MS)
        self.served = ModelId("", 1)  # the cloud model that answers matches
        self.renewals = Renewals(lambda: self.served, self)
        self.saved = InMemory()
        self.metrics = Metrics()

    def users(
        self, checkpoint: int | None = None, stream: Quorum | None = None, most: int = 100, at_hand: int = 100
    ) -> ShardUsers:
        return ShardUsers(
            self.saved,
            checkpoint,
            RULES,
            clock=self,
            stream=stream or Quorum(),
            residents=Residents(Stay(most=most), Meter.of_users(self.metrics, self.metrics.users.set)),
            renewals=self.renewals,
            at_hand=at_hand,
        )


def asked(users: ShardUsers) -> Query:
    out = users.handle([asked_at(77)])
    (query,) = out.queries
    return query


def reasons(outputs: Iterable[UserOutput]) -> list[str]:
    return [query.reason for out in outputs for query in out.queries]


def test_users_learn_from_each_other_how_far_the_stream_has_come() -> None:
    stream, world = Quorum(), World()
    for user, timestamp in ((1, 90_000), (2, 90_000), (3, 10**12)):
        stream.claim(user, EventMs(timestamp))
    users = world.users(stream=stream)
    users.handle([arrival(1, 10), arrival(2, 90_000, user_id="bob"), arrival(3, 89_990, user_id="bob")])
    checkpoint = users.sync()
    assert asked(users).before_ms == 90_001, "one clock that is ahead says nothing"
    assert asked(world.users(checkpoint, stream)).before_ms == 90_001
    assert asked(world.users(checkpoint)).before_ms == 11, "another worker's stream time is its own"


@pytest.mark.parametrize("step_ms", [-400 * 86_400_000, -120_000, -999, 0, 999, 400 * 86_400_000])
def test_a_user_who_stopped_is_matched_after_the_budget_whatever_the_wall_clock_shows(step_ms: int) -> None:
    world = World()
    users = world.users()
    users.handle([arrival(1, 0), arrival(2, 1)])
    world.passes(999, step_ms)
    assert users.waited() == [] and users.left_ms == 1
    world.passes(1)
    assert reasons(users.waited()) == ["idle"] and users.left_ms is None


def test_who_waits_longest_is_matched_first_and_alone() -> None:
    world = World()
    users = world.users()
    users.handle([arrival(1, 0), arrival(2, 1)])
    world.passes(400)
    users.handle([arrival(n, n, user_id="bob") for n in (3, 4)])
    world.passes(600)
    (out,) = users.waited()
    assert out.queries[0].user_id == "ann" and users.left_ms == 400
    world.passes(400)
    (out,) = users.waited()
    assert out.queries[0].user_id == "bob" and users.left_ms is None


def test_a_match_in_between_makes_the_wait_begin_again() -> None:
    world = World()
    users = world.users()
    users.handle([arrival(1, 0), arrival(2, 1)])
    world.passes(600)
    users.handle([arrival(3, 2), arrival(4, 3), arrival(5, 4)])
    world.passes(600)
    assert users.waited() == []
    world.passes(400)
    assert reasons(users.waited()) == ["idle"]


def test_who_stands_aside_is_waited_for_once_and_the_match_is_withheld() -> None:
    world = World()
    users = world.users()
    users.handle([Asked("ann", NOW_MS, -1, ASIDE), arrival(1, 0), arrival(2, 1)])
    world.passes(1000)
    (out,) = users.waited()
    assert out.withheld == 1 and not out.queries and users.left_ms is None


def test_who_waited_before_a_restart_waits_on() -> None:
    world = World()
    users = world.users()
    users.handle([arrival(1, 0), arrival(2, 1)])
    again = world.users(users.sync())
    assert again.left_ms == 1000 and again.waited() == []
    world.passes(1000)
    assert reasons(again.waited()) == ["idle"]


def test_who_has_to_leave_is_let_go_is_waited_for_no_more_and_begins_anew() -> None:
    world = World()
    users = world.users(most=1)
    users.handle([arrival(1, 10), arrival(2, 11)])
    users.handle([arrival(3, 20, user_id="bob")])
    assert [state.user_id for state in users.states()] == ["bob"] and users.left_ms is None
    assert world.metrics.value(Metrics.users_forgotten, reason="crowded") == 1
    again = world.users(users.sync(), most=1)
    assert [state.user_id for state in again.states()] == ["bob"]
    out = again.handle([arrival(1, 10)])
    assert len(out.samples) == 1 and not out.duplicates, "what is forgotten is no duplicate"


def test_who_comes_back_in_the_batch_that_others_would_crowd_out_stays() -> None:
    world = World()
    users = world.users(most=1)
    users.handle([arrival(1, 10)])
    out = users.handle([arrival(2, 20, user_id="bob"), arrival(3, 30)])
    assert [each.sample for each in out.samples] == [2, 3] and [state.user_id for state in users.states()] == ["ann"]


def test_nothing_is_saved_where_nothing_changed_and_only_what_did_where_something_did() -> None:
    world, saved = World(), list[set[str]]()

    class Noting(InMemory):
        def save(self, changes: Mapping[str, bytes | None], states: int) -> int:
            saved.append(set(changes))
            return super().save(changes, states)

    world.saved = Noting()
    users = world.users()
    assert users.sync() == users.sync() == 0
    users.handle([arrival(1, 10), arrival(2, 20, user_id="bob")])
    assert users.sync() == users.sync() == 1
    users.handle([arrival(3, 30)])
    assert users.sync() == 2 and saved == [{"ann", "bob"}, {"ann"}]


def test_only_who_did_something_last_is_kept_in_memory_and_the_others_are_what_they_were() -> None:
    world = World()
    users = world.users(at_hand=1)
    users.handle([arrival(1, 10), arrival(2, 11), arrival(3, 20, user_id="bob")])
    users.sync()
    assert list(users._present) == ["bob"] and len(users) == 2
    out = users.handle([arrival(1, 10), arrival(4, 12)])
    assert out.duplicates == 1 and len(out.samples) == 1
    world.passes(1000)
    assert reasons(users.waited()) == ["idle"] and len(list(users.states())) == 2


def matched(users: ShardUsers, sample: int, user_id: str = "ann") -> list[str]:
    """What the user's next event makes due."""
    return reasons([users.handle([arrival(sample, sample, user_id=user_id)])])


def test_a_new_model_makes_one_match_with_the_users_next_sample() -> None:
    world = World()
    users = world.users()
    assert [matched(users, sample) for sample in (1, 2)] == [["freshness"], []]
    world.served = ModelId("", 2)
    out = users.handle([arrival(3, 3)])
    (query,) = out.queries
    assert query.reason == "model" and query.before_ms == 3 and query.produced_ms == NOW_MS + 3
    assert int.from_bytes(query.history_item[:4], "little") == 3, "it is matched by what it just took, too"
    assert matched(users, 4) == []


def test_a_match_that_is_due_anyway_is_the_one_by_the_new_model() -> None:
    world = World()
    users = world.users()
    matched(users, 1)
    world.served = ModelId("", 2)
    assert asked(users).reason == "request" and matched(users, 2) == []


def test_between_two_models_and_while_the_device_stands_aside_nothing_is_made_anew() -> None:
    world = World()
    users = world.users()
    matched(users, 1), matched(users, 1, "bob")
    world.served = NO_MODEL
    assert matched(users, 2) == []
    world.served = ModelId("", 2)
    users.handle([Asked("bob", NOW_MS, -1, ASIDE)])
    assert matched(users, 2, "bob") == [] and matched(users, 3) == ["model"]


def test_a_new_model_makes_only_so_many_matches_a_second_and_then_all() -> None:
    world, names = World(), [f"user-{n}" for n in range(300)]
    users = world.users(most=300)
    for name in names:
        matched(users, 1, name)
    world.served = ModelId("", 2)
    world.passes(10_000)
    each_pass = []
    for sample in range(2, 60):
        world.passes(50)
        each_pass.append(sum(matched(users, sample, name) == ["model"] for name in names))
        for state in users.states():
            state.pending = 0  # nobody is due for another reason
    assert sum(each_pass) == 300 and max(each_pass[1:]) <= -(-50 // EACH_MS)
    assert each_pass[0] <= AT_ONCE_MS // EACH_MS + 1 and each_pass.index(0) <= 300 * EACH_MS // 50 + 1


arrivals = st.builds(
    lambda user, sample, at: arrival(sample, at, sample % 2, user_id=f"user-{user}"),
    st.integers(0, 3),
    st.integers(1, 12),
    st.integers(0, 300),
)
steps = st.lists(st.lists(arrivals, max_size=5) | st.sampled_from(["sync", "crash", "crash one before"]), max_size=20)


@settings(max_examples=100)
@given(steps, st.integers(0, 3))
def test_whatever_comes_between_each_user_is_as_if_it_were_alone_and_nothing_had_crashed(
    plan: list[list[Arrival] | str], at_hand: int
) -> None:
    world = World()
    users, alone, at_checkpoint = world.users(at_hand=at_hand), dict[str, UserState](), [dict[str, bytes]()]
    for step in plan:
        if isinstance(step, list):
            out = users.handle(step)
            for user_id in dict.fromkeys(one.user_id for one in step):
                state = alone.setdefault(user_id, UserState(user_id))
                expected = state.handle([one for one in step if one.user_id == user_id], RULES, NOW_MS)
                assert [each for each in out.samples if each.user == state.user] == expected.samples
        elif step == "sync":
            checkpoint = users.sync()
            del at_checkpoint[checkpoint:]
            at_checkpoint.append({user: state.snapshot() for user, state in alone.items()})
        else:
            checkpoint = max(0, len(at_checkpoint) - 1 - (step == "crash one before"))
            del at_checkpoint[checkpoint + 1 :]
            users = world.users(checkpoint or None, at_hand=at_hand)
            alone = {user: UserState.restore(raw) for user, raw in at_checkpoint[checkpoint].items()}
        assert {state.user_id: state.snapshot() for state in users.states()} == {
            user: state.snapshot() for user, state in alone.items()
        }
