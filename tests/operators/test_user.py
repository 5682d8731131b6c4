from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.interaction_log import MOST_TIMES
from models.sample import block_of
from operators.decode import Arrival, Asked
from operators.event_keys import MOST_SEEN
from operators.user import MatchRules, Query, UserState
from tests.operators.arrivals import NOW_MS, RULES, arrival, asked_at
from wire.ids import user_key
from wire.moments import EventMs, WallMs
from wire.sample import HISTORY_LEN, SampleRecord

NEVER_STALE = MatchRules(match_every=3, freshness_budget_ms=10**12, lateness_ms=100)


def items(record: SampleRecord | Query) -> list[int]:
    return [int.from_bytes(record.history_item[at : at + 4], "little") for at in range(0, len(record.history_item), 4)]


def feed(state: UserState, *batch: Arrival | Asked, rules: MatchRules = RULES) -> tuple[list[int], list[Query]]:
    out = state.handle(batch, rules, NOW_MS)
    return [record.sample for record in out.samples], out.queries


def test_features_are_strictly_earlier_even_within_a_basket() -> None:
    out = UserState("ann").handle([arrival(1, 10), arrival(2, 10), arrival(3, 11), arrival(4, 11)], RULES, NOW_MS)
    assert [items(record) for record in out.samples] == [[], [], [2, 1], [2, 1]]


def test_a_sample_says_what_the_service_expected_of_its_event() -> None:
    known = msgspec.structs.replace(arrival(1, 10), base=-1.5)
    assert [record.base for record in UserState("ann").handle([known, arrival(2, 11)], RULES, NOW_MS).samples] == [
        -1.5,
        None,
    ]


def test_only_positives_extend_the_history() -> None:
    out = UserState("ann").handle([arrival(1, 10, label=0), arrival(2, 11), arrival(3, 12)], RULES, NOW_MS)
    assert [items(record) for record in out.samples] == [[], [], [2]]


def test_a_sample_says_how_often_its_item_was_taken_before() -> None:
    stream = [(1, 10, 1, 5), (2, 10, 1, 5), (3, 11, 0, 5), (4, 12, 1, 6), (5, 13, 0, 5), (6, 13, 0, 6)]
    out = UserState("ann").handle([arrival(*one) for one in stream], RULES, NOW_MS)
    assert [record.times for record in out.samples] == [0, 0, 2, 0, 2, 1]
    often = [arrival(n, n, item=5) for n in range(1, MOST_TIMES + 9)]
    assert UserState("bob").handle(often, RULES, NOW_MS).samples[-1].times == MOST_TIMES


def test_a_duplicate_is_counted_and_changes_nothing() -> None:
    state = UserState("ann")
    out = state.handle([arrival(1, 10), arrival(1, 10), arrival(2, 11)], RULES, NOW_MS)
    assert [record.sample for record in out.samples] == [1, 2] and out.duplicates == 1
    again = state.handle([arrival(1, 10)], RULES, NOW_MS)
    assert (again.samples, again.queries, again.late, again.duplicates) == ([], [], [], 1)


def test_out_of_order_is_taken_and_too_late_is_refused_with_its_bytes() -> None:
    out = UserState("ann").handle([arrival(1, 1000), arrival(2, 900), arrival(3, 899)], RULES, NOW_MS)
    assert [record.sample for record in out.samples] == [1, 2]
    (late,) = out.late
    assert late.reason == "late" and late.raw == b"raw3" and "101 ms behind" in late.detail


def test_a_late_event_does_not_see_what_came_after_it() -> None:
    out = UserState("ann").handle([arrival(1, 1000), arrival(2, 1010), arrival(3, 1005)], RULES, NOW_MS)
    assert items(out.samples[2]) == [1]


def test_the_first_sample_is_due_then_every_so_many() -> None:
    state = UserState("ann")
    due = [bool(feed(state, arrival(n, n), rules=NEVER_STALE)[1]) for n in range(1, 9)]
    assert due == [True, False, False, True, False, False, True, False]


def test_due_when_the_newest_batch_is_too_old_in_event_time() -> None:
    state = UserState("ann")
    feed(state, arrival(1, 0))
    assert not feed(state, arrival(2, 999))[1]
    (query,) = feed(state, arrival(3, 1000))[1]
    assert query.reason == "freshness" and query.before_ms == 1000 and query.produced_ms == NOW_MS + 1000


@pytest.mark.parametrize(("label", "expected"), [(1, [4, 3, 2, 1]), (0, [3, 2, 1])])
def test_a_query_holds_the_event_that_made_it_due_and_its_sample_does_not(label: int, expected: list[int]) -> None:
    state = UserState("ann")
    (first,) = feed(state, arrival(1, 10), arrival(2, 20), rules=NEVER_STALE)[1]
    assert items(first) == [1]
    out = state.handle([arrival(3, 30), arrival(4, 30, label)], NEVER_STALE, NOW_MS)
    (query,) = out.queries
    assert items(query) == expected and query.before_ms == 30, "candidates stay strictly earlier than the event"
    assert items(out.samples[1]) == [2, 1]


def test_the_query_of_an_event_out_of_order_holds_nothing_that_came_after_it() -> None:
    state = UserState("ann")
    feed(state, arrival(1, 1000), arrival(2, 1010), arrival(3, 1020), rules=NEVER_STALE)
    (query,) = feed(state, arrival(4, 1005), rules=NEVER_STALE)[1]
    assert items(query) == [4, 1] and query.before_ms == 1005


def test_due_when_the_stream_stops_and_time_goes_on() -> None:
    state = UserState("ann")
    feed(state, arrival(1, 0))
    assert state.idle(NOW_MS).queries == []  # nothing came since the match
    feed(state, arrival(2, 1))
    (query,) = state.idle(NOW_MS).queries
    assert query.reason == "idle" and query.before_ms == 2 and items(query) == [2, 1]
    assert state.idle(NOW_MS).queries == []


def test_while_its_device_stands_aside_nothing_is_matched_until_it_asks_again() -> None:
    state = UserState("ann")
    feed(state, arrival(1, 10))
    aside = Asked("ann", WallMs(70), 5, "aside")
    out = UserState.restore(state.snapshot()).handle([aside, *(arrival(n, 10 + n) for n in range(2, 9))], RULES, NOW_MS)
    assert len(out.samples) == 7 and not out.queries and out.withheld == 2, "two matches of three samples were due"
    state.handle([aside, arrival(2, 12)], RULES, NOW_MS)
    assert state.idle(NOW_MS).withheld == 1 and not state.waits, "nobody is woken for it again"
    (query,) = feed(state, asked_at(77))[1]
    assert query.reason == "request"
    assert len(feed(state, *(arrival(n, 10 + n) for n in range(3, 6)))[1]) == 1


def test_a_device_that_is_back_gets_the_match_that_is_due_as_if_all_had_been_made_meanwhile() -> None:
    state = UserState("ann")
    feed(state, arrival(1, 10))
    meanwhile = [arrival(n, 10 + n) for n in range(2, 7)]
    out = state.handle([Asked("ann", WallMs(70), 5, "aside"), *meanwhile], RULES, NOW_MS)
    assert out.withheld == 1, "of three samples, and two more wait"
    assert feed(state, Asked("ann", WallMs(77), 5, "back"))[1] == [], "who is back by a task is one of many"
    (query,) = feed(state, arrival(7, 17))[1]
    assert query.reason == "samples" and query.seq > 5


def test_a_request_is_answered_as_of_the_newest_event() -> None:
    state = UserState("ann")
    feed(state, arrival(1, 10))
    (query,) = feed(state, asked_at(77))[1]
    assert (query.reason, query.before_ms, query.produced_ms, items(query)) == ("request", 11, 77, [1])


def test_a_request_of_a_user_who_was_away_is_as_of_the_time_the_stream_has_come_to() -> None:
    state = UserState("ann")
    feed(state, arrival(1, 10), arrival(2, 20))
    (query,) = state.handle([asked_at(77)], RULES, NOW_MS, stream_ms=EventMs(90_000)).queries
    assert (query.before_ms, items(query)) == (90_001, [2, 1])
    (behind,) = state.handle([asked_at(78)], RULES, NOW_MS, stream_ms=EventMs(5)).queries
    assert behind.before_ms == 21, "never before the user's own newest event"


def test_a_user_who_stopped_is_matched_as_of_the_time_the_stream_has_come_to() -> None:
    state = UserState("ann")
    feed(state, arrival(1, 0), arrival(2, 1))
    (query,) = state.idle(NOW_MS, stream_ms=EventMs(90_000)).queries
    assert (query.reason, query.before_ms) == ("idle", 90_001)


def test_a_request_before_any_event_is_as_of_that_event_however_far_the_stream_is() -> None:
    state = UserState("ann")
    assert not state.handle([asked_at(77)], RULES, NOW_MS, stream_ms=EventMs(90_000)).queries
    (query,) = state.handle([arrival(1, 10)], RULES, NOW_MS, stream_ms=EventMs(90_000)).queries
    assert (query.reason, query.before_ms) == ("request", 10)


def test_a_request_before_any_event_waits_for_the_first() -> None:
    state = UserState("ann")
    assert not feed(state, asked_at(77))[1]
    (query,) = feed(state, arrival(1, 10))[1]
    assert (query.reason, query.before_ms, query.produced_ms) == ("request", 10, 77)
    assert not feed(state, arrival(2, 11))[1]


def test_batches_count_up_and_ahead_of_a_lost_state() -> None:
    state = UserState("ann")
    seqs = [feed(state, asked_at(1) if n else arrival(1, 1))[1][0].seq for n in range(3)]
    assert seqs == [NOW_MS, NOW_MS + 1, NOW_MS + 2]
    reborn = UserState("ann").handle([arrival(1, 1)], RULES, WallMs(NOW_MS + 1000))
    assert reborn.queries[0].seq > seqs[-1]


# A duplicate is the same event again, so its id fixes everything about it.
EVENTS = st.lists(
    st.integers(1, 60).map(lambda n: arrival(n, n * 37 % 400, label=n % 3 % 2, item=n % 9 + 1)), max_size=80
)


@given(EVENTS, st.data())
def test_how_a_stream_is_cut_and_a_crash_between_change_nothing(stream: list[Arrival], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    whole = UserState("ann").handle(stream, RULES, NOW_MS)
    state, samples, queries = UserState("ann"), list[SampleRecord](), list[Query]()
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        out = state.handle(stream[start:stop], RULES, NOW_MS)
        samples += out.samples
        queries += out.queries
        state = UserState.restore(state.snapshot())
    assert samples == whole.samples and queries == whole.queries


@given(st.lists(st.integers(1, 250), min_size=100, max_size=300), st.sets(st.integers(0, 299), max_size=20))
def test_a_snapshot_at_any_point_changes_nothing_while_keys_come_and_go(numbers: list[int], rests: set[int]) -> None:
    state, plain = UserState("ann"), UserState("ann")
    for n, number in enumerate(numbers):
        one = arrival(number, n * 2 // 7 + number % 90, label=number % 2)
        assert state.handle([one], RULES, NOW_MS) == plain.handle([one], RULES, NOW_MS)
        if n in rests:
            state = UserState.restore(state.snapshot())
    assert state.snapshot() == plain.snapshot()


@given(EVENTS, st.lists(st.integers(0, 10**6).map(EventMs), min_size=80, max_size=80))
def test_how_far_the_stream_has_come_changes_nothing_about_events(stream: list[Arrival], times: list[EventMs]) -> None:
    plain, informed = UserState("ann"), UserState("ann")
    for one, stream_ms in zip(stream, times, strict=False):
        assert informed.handle([one], RULES, NOW_MS, stream_ms) == plain.handle([one], RULES, NOW_MS)
    assert informed.snapshot() == plain.snapshot()


@given(st.lists(st.sampled_from([0, 1, 1000, -(10**9), 10**9]), max_size=20))
def test_batch_numbers_count_up_whatever_the_wall_clock_does(steps: list[int]) -> None:
    state, wall_ms, seqs = UserState("ann"), int(NOW_MS), []
    state.handle([arrival(1, 1)], RULES, NOW_MS)
    for step in steps:
        wall_ms += step
        seqs += [query.seq for query in state.handle([asked_at(1)], RULES, WallMs(wall_ms)).queries]
    assert seqs == sorted(set(seqs)) and len(seqs) == len(steps)


def test_a_device_with_a_number_from_a_clock_that_was_ahead_gets_a_higher_one() -> None:
    ahead = NOW_MS + 7_200_000
    known, new = UserState("ann"), UserState("ann")
    feed(known, arrival(1, 1))
    (query,) = feed(known, asked_at(1, ahead))[1]
    assert not feed(new, asked_at(1, ahead))[1]
    (first,) = feed(new, arrival(1, 1))[1]
    assert query.seq == first.seq == ahead + 1


def test_keys_of_a_user_who_does_too_much_within_the_lateness_are_bounded() -> None:
    state = UserState("ann")
    for n in range(0, 60_000, 500):
        state.handle([arrival(k, 1_000 + k // 100) for k in range(n, n + 500)], RULES, NOW_MS)
    assert len(state.seen) <= MOST_SEEN and len(state.snapshot()) < 12 * MOST_SEEN + 20_000
    again = state.handle([arrival(59_999, 1_599)], RULES, NOW_MS)
    assert again.duplicates == 1, "the newest are known"


@given(EVENTS)
def test_agrees_with_a_plain_oracle(stream: list[Arrival]) -> None:
    out = UserState("ann").handle(stream, RULES, NOW_MS)
    expected, late, duplicates = oracle(stream)
    assert [record.sample for record in out.samples] == [a.sample for a, _ in expected]
    assert [items(record) for record in out.samples] == [history for _, history in expected]
    assert len(out.late) == late and out.duplicates == duplicates
    assert all(record.user == user_key("ann") for record in out.samples)


def oracle(stream: Sequence[Arrival]) -> tuple[list[tuple[Arrival, list[int]]], int, int]:
    """The same by remembering everything."""
    taken: list[Arrival] = []
    positives: list[Arrival] = []
    features, late, duplicates = [], 0, 0
    for a in stream:
        newest = max((t.timestamp for t in taken), default=-1)
        again = a.timestamp < newest and any((p.item, p.timestamp) == (a.item, a.timestamp) for p in positives)
        if a.timestamp < newest - RULES.lateness_ms:
            late += 1
            positives += [a] if a.label and not again else []
        elif a in taken:
            duplicates += 1
        else:
            earlier = [p for p in positives if p.timestamp < a.timestamp]
            # Stable from the back: of equal timestamps, what came last is newest.
            newest_first = sorted(enumerate(earlier), key=lambda pair: (pair[1].timestamp, pair[0]), reverse=True)
            features.append((a, [t.item for _, t in newest_first][:HISTORY_LEN]))
            taken.append(a)
            positives += [a] if a.label and not again else []
    return features, late, duplicates


def test_seen_events_are_forgotten_once_they_would_be_late() -> None:
    state = UserState("ann")
    state.handle([arrival(n, 10 * n) for n in range(1, 5000)], RULES, NOW_MS)
    assert len(state.seen) < 100


def test_samples_make_a_block() -> None:
    out = UserState("ann").handle([arrival(1, 10), arrival(2, 11)], RULES, NOW_MS)
    block = block_of(out.samples)
    assert block.history_item[:, 0].tolist() == [0, 1] and block.sample.tolist() == [1, 2]
    assert block.produced_ms.tolist() == [NOW_MS + 10, NOW_MS + 11]


@pytest.mark.parametrize("label", [0, 1])
def test_every_sample_counts_towards_the_next_match(label: int) -> None:
    state = UserState("ann")
    queries = [feed(state, arrival(n, n, label), rules=NEVER_STALE)[1] for n in range(1, 5)]
    assert [len(q) for q in queries] == [1, 0, 0, 1]
