import pytest

from models.quorum import Quorum
from monitor.metrics import Metrics
from operators.decode import Asked
from operators.renewals import AT_ONCE_MS, EACH_MS, Renewals
from operators.residents import Leave, Meter, Residents, Stay
from operators.user import MatchRules, Query
from operators.user_step import UserLogic
from tests.clock import HandClock
from tests.operators.arrivals import NOW_MS, RULES, arrival, asked_at
from wire.identity import NO_MODEL, ModelId
from wire.moments import EventMs
from wire.telemetry import ASIDE


class Clocks(HandClock):
    """A wall clock that may be set, and one that may not."""

    def __init__(self) -> None:
        super().__init__(NOW_MS)
        self.served = ModelId("", 1)  # the cloud model that answers matches
        self.renewals = Renewals(lambda: self.served, self)

    def logic(
        self, stream: Quorum | None = None, saved: bytes | None = None, residents: Residents | None = None
    ) -> UserLogic:
        return UserLogic(
            saved,
            RULES,
            clock=self,
            stream=stream or Quorum(),
            residents=Residents(Stay(), Meter.of_users(Metrics())) if residents is None else residents,
            renewals=self.renewals,
        )


def asked(one: UserLogic) -> Query:
    (out,), _ = one.on_batch([asked_at(77)])
    (query,) = out.queries
    return query


def test_users_of_a_worker_learn_from_each_other_how_far_the_stream_has_come() -> None:
    stream = Quorum()
    for user, timestamp in ((1, 90_000), (2, 90_000), (3, 10**12)):
        stream.claim(user, EventMs(timestamp))
    ann, bob = Clocks().logic(stream), Clocks().logic(stream)
    ann.on_batch([arrival(1, 10)])
    bob.on_batch([arrival(2, 90_000), arrival(3, 89_990)])
    assert asked(ann).before_ms == 90_001, "one clock that is ahead says nothing"
    assert asked(Clocks().logic(stream, ann.snapshot())).before_ms == 90_001
    assert asked(Clocks().logic(Quorum(), ann.snapshot())).before_ms == 11, "another worker's stream time is its own"


@pytest.mark.parametrize("step_ms", [-400 * 86_400_000, -120_000, -999, 0, 999, 400 * 86_400_000])
def test_a_user_who_stopped_is_matched_after_the_budget_whatever_the_wall_clock_shows(step_ms: int) -> None:
    clocks = Clocks()
    one = clocks.logic()
    one.on_batch([arrival(1, 0), arrival(2, 1)])
    clocks.passes(999, step_ms)
    assert one.on_notify()[0] == [] and one.notify_at() is not None
    clocks.passes(1)
    (out,), _ = one.on_notify()
    assert [query.reason for query in out.queries] == ["idle"] and one.notify_at() is None


def test_a_match_in_between_makes_the_wait_begin_again() -> None:
    clocks = Clocks()
    one = clocks.logic()
    one.on_batch([arrival(1, 0), arrival(2, 1)])
    clocks.passes(600)
    one.on_batch([arrival(3, 2), arrival(4, 3), arrival(5, 4)])
    clocks.passes(600)
    assert one.on_notify()[0] == []
    clocks.passes(400)
    assert one.on_notify()[0]


def test_who_waited_before_a_restart_waits_on() -> None:
    clocks = Clocks()
    one = clocks.logic()
    one.on_batch([arrival(1, 0), arrival(2, 1)])
    again = clocks.logic(saved=one.snapshot())
    assert again.notify_at() is not None and again.on_notify()[0] == []
    clocks.passes(1000)
    assert again.on_notify()[0]


def test_bytewax_is_never_told_to_wake_far_ahead_by_a_wall_clock_that_may_step_back() -> None:
    one = UserLogic(
        None,
        MatchRules(freshness_budget_ms=86_400_000),
        clock=HandClock(NOW_MS),
        stream=Quorum(),
        residents=Residents(Stay(), Meter.of_users(Metrics())),
        renewals=Clocks().renewals,
    )
    one.on_batch([arrival(1, 0), arrival(2, 1)])
    wakes = one.notify_at()
    assert wakes is not None and wakes.timestamp() - NOW_MS / 1000 < 300


def test_a_user_who_has_to_leave_is_let_go_and_begins_anew() -> None:
    clocks, residents = Clocks(), Residents(Stay(most=1), Meter.of_users(Metrics()))
    ann, bob = clocks.logic(residents=residents), clocks.logic(residents=residents)
    ann.on_batch([arrival(1, 10)])
    bob.on_batch([arrival(2, 20, user_id="bob")])
    came = residents.with_leaving([], 20)
    assert came == [("ann", Leave())]
    assert ann.on_batch([Leave()]) == ([], UserLogic.DISCARD)
    assert clocks.logic(residents=residents).on_batch([Leave()]) == ([], UserLogic.DISCARD), (
        "nor is a key without state"
    )


def test_a_user_who_comes_back_before_leaving_stays() -> None:
    clocks, residents = Clocks(), Residents(Stay(most=1), Meter.of_users(Metrics()))
    ann = clocks.logic(residents=residents)
    ann.on_batch([arrival(1, 10)])
    residents.active("bob", 20)
    assert residents.leaving(20) == ["ann"]
    (out,), discard = ann.on_batch([arrival(2, 30), Leave()])
    assert len(out.samples) == 1 and not discard
    assert ann.on_batch([Leave()]) == ([], UserLogic.RETAIN)


def matched(one: UserLogic, sample: int) -> list[str]:
    """What the user's next event makes due."""
    (out,), _ = one.on_batch([arrival(sample, sample)])
    return [query.reason for query in out.queries]


def test_what_a_user_does_next_is_matched_by_a_new_model_once_and_at_once() -> None:
    clocks = Clocks()
    one = clocks.logic()
    assert [matched(one, sample) for sample in (1, 2)] == [["freshness"], []]
    clocks.served = ModelId("", 2)
    (out,), _ = one.on_batch([arrival(3, 3)])
    (query,) = out.queries
    assert query.reason == "model" and query.before_ms == 3 and query.produced_ms == NOW_MS + 3
    assert int.from_bytes(query.history_item[:4], "little") == 3, "it is matched by what it just took, too"
    assert matched(one, 4) == []


def test_a_match_that_is_due_anyway_is_the_one_by_the_new_model() -> None:
    clocks = Clocks()
    one = clocks.logic()
    matched(one, 1)
    clocks.served = ModelId("", 2)
    assert asked(one).reason == "request" and matched(one, 2) == []


def test_between_two_models_and_while_the_device_stands_aside_nothing_is_made_anew() -> None:
    clocks = Clocks()
    one, aside = clocks.logic(), clocks.logic()
    matched(one, 1), matched(aside, 1)
    clocks.served = NO_MODEL
    assert matched(one, 2) == []
    clocks.served = ModelId("", 2)
    aside.on_batch([Asked("ann", NOW_MS, -1, ASIDE)])
    assert matched(aside, 2) == [] and matched(one, 3) == ["model"]


def test_a_new_model_makes_only_so_many_matches_a_second_and_then_all() -> None:
    clocks = Clocks()
    users = [clocks.logic() for _ in range(300)]
    for one in users:
        matched(one, 1)
    clocks.served = ModelId("", 2)
    clocks.passes(10_000)
    each_pass = []
    for sample in range(2, 60):
        clocks.passes(50)
        each_pass.append(sum(matched(one, sample) == ["model"] for one in users))
        for one in users:
            assert one.state is not None
            one.state.pending = 0  # nobody is due for another reason
    assert sum(each_pass) == 300 and max(each_pass[1:]) <= -(-50 // EACH_MS)
    assert each_pass[0] <= AT_ONCE_MS // EACH_MS + 1 and each_pass.index(0) <= 300 * EACH_MS // 50 + 1
