"""Event time by many: what is ahead waits for others to agree or contradict, and nothing else waits or is lost."""

import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators import event_time
from operators.decode import Arrival, Asked, Raw
from operators.event_time import (
    ALONE_MS,
    CONTRADICTED,
    PATIENCE_MS,
    UNCONTRADICTED,
    End,
    EventClock,
    PartitionLogic,
    Sorted,
)
from tests.clock import HandClock
from wire.dead_letter import DeadLetter, Origin
from wire.event import Event, encode_event
from wire.moments import EventMs, SteadyMs, WallMs
from wire.reason import Reason

HOUR, DAY = 3_600_000, 86_400_000
START = 1_000 * DAY
TODAY = 20_000 * DAY
T0 = SteadyMs(0)
END = End("events", 0)
Told = tuple[str, int]  # user, timestamp


def arrival(number: int, told: Told) -> Arrival:
    user, timestamp = told
    return Arrival(
        user_id=user,
        sample=number,
        item=1,
        category=1,
        label=0,
        timestamp=EventMs(timestamp),
        produced_ms=WallMs(TODAY),
        raw=b"%d" % number,
        partition=0,
        offset=number,
    )


def stream(told: Iterable[Told]) -> list[Arrival]:
    return [arrival(number, one) for number, one in enumerate(told)]


def numbers(out: Sorted) -> tuple[list[int], list[int]]:
    """Which events were accepted, in order, and which refused."""
    accepted = [one.sample for _, one in out.accepted if isinstance(one, Arrival)]
    return accepted, [int(one.raw) for one in out.rejected]


def waited(clock: EventClock, now_ms: SteadyMs) -> Sorted:
    """What comes of a snapshot that is taken then, at the end of the stream."""
    clock.end(T0)
    clock.snapshot(now_ms)
    return clock.take([], now_ms)


def run(told: Sequence[Told], cut: int | None = None) -> tuple[list[int], list[int]]:
    """What becomes of a stream, its end included; with `cut` there is a restart in the middle."""
    clock = EventClock(HOUR)
    events = stream(told)
    parts = [events] if cut is None else [events[:cut], events[cut:]]
    accepted, refused = [], []
    for part in parts:
        clock = EventClock.restore(clock.snapshot(T0), HOUR, T0)
        out = numbers(clock.take(part, T0))
        accepted += out[0]
        refused += out[1]
    end = numbers(waited(clock, SteadyMs(PATIENCE_MS)))
    return accepted + end[0], refused + end[1]


def busy(users: int, n: int, start: int = START, every: int = 1000) -> list[Told]:
    return [(f"u{k % users}", start + k * every) for k in range(n)]


def test_events_in_order_go_on_at_once() -> None:
    clock = EventClock(HOUR)
    assert numbers(clock.take(stream(busy(50, 500)), T0)) == (list(range(500)), [])
    assert not len(clock)


def test_a_row_dated_today_in_an_old_log_is_refused_once_the_log_goes_on_without_it() -> None:
    told = [*busy(20, 100), ("u3", TODAY), *busy(20, 100, START + 100_000)]
    clock = EventClock(HOUR)
    out = clock.take(stream(told), T0)
    assert numbers(out) == ([*range(100), *range(101, 201)], [100])
    assert out.rejected[0].reason == "ahead" and "3600000 ms are allowed" in out.rejected[0].detail


def test_a_clock_that_is_23_hours_ahead_is_refused_for_as_long_as_it_is_and_moves_nothing() -> None:
    told = [(user, moment + 23 * HOUR * (user == "u3")) for user, moment in busy(20, 1000)]
    accepted, refused = run(told)
    assert refused == list(range(3, 1000, 20)) and len(accepted) == 950


@pytest.mark.parametrize("users", [1, 2, 3, 5, 40])
@pytest.mark.parametrize("gap", [2 * HOUR, 9 * HOUR, 400 * DAY])
def test_after_a_gap_everything_goes_on_in_order(users: int, gap: int) -> None:
    told = [*busy(users, 60), *busy(users, 60, START + gap)]
    assert run(told) == (list(range(120)), [])


def session(n: int, begin: int, user: str = "u3") -> list[Told]:
    return [(user, begin + 1000 * k) for k in range(n)]


def test_one_user_after_a_quiet_night_waits_for_nobody_if_nothing_contradicts_it() -> None:
    told = [*busy(20, 100), *session(UNCONTRADICTED, START + 9 * HOUR)]
    clock = EventClock(HOUR)
    events = stream(told)
    assert numbers(clock.take(events[:-1], T0)) == (list(range(100)), [])
    assert numbers(clock.take(events[-1:], T0)) == ([*range(100, len(told))], [])


@pytest.mark.parametrize(("begin", "between"), [(START + 9 * HOUR, ("u5", START + 200_000)), (START + 2 * DAY, None)])
def test_it_waits_where_something_does_and_after_more_than_a_day(begin: int, between: Told | None) -> None:
    told = [*busy(20, 100), *session(4, begin), *([between] if between else []), *session(12, begin + 4000)]
    clock = EventClock(HOUR)
    accepted, _ = numbers(clock.take(stream(told), T0))
    assert accepted == [*range(100), *([104] if between else [])]


@pytest.mark.parametrize("users", [1, 2, 7])
def test_a_log_with_hours_between_events_loses_nothing(users: int) -> None:
    assert run(busy(users, 200, every=5 * HOUR)) == (list(range(200)), [])


def test_a_user_who_is_left_alone_is_believed() -> None:
    told = [*busy(3, 9), *(("u0", START + DAY * k) for k in range(1, 20))]
    assert run(told) == (list(range(28)), [])


def test_at_the_end_of_a_stream_the_last_event_is_believed_unless_more_contradict_it_than_agree() -> None:
    assert run([*busy(20, 100), ("u3", START + DAY)]) == (list(range(101)), [])
    assert run([*busy(20, 100), ("u3", START + DAY), *busy(20, 5, START + 100_000)])[1] == [100]
    morning = [("u3", START + DAY), *busy(20, 1, START + 100_000), ("u7", START + DAY), ("u3", START + DAY + 5)]
    assert run([*busy(20, 100), *morning]) == ([*range(100), 101, 100, 102, 103], [])


def test_what_waits_is_waited_for_by_a_steady_clock() -> None:
    clock = EventClock(HOUR)
    clock.take(stream([*busy(20, 100), ("u3", START + DAY)]), SteadyMs(50))
    assert len(clock) and not waited(clock, SteadyMs(50 + PATIENCE_MS - 1)).accepted
    assert numbers(waited(clock, SteadyMs(50 + PATIENCE_MS))) == ([100], [])


def test_rows_dated_today_at_the_end_of_an_old_log_are_refused_though_nothing_contradicts_them() -> None:
    told = [*busy(20, 100), *((f"u{k}", TODAY) for k in range(4))]
    assert run(told) == (list(range(100)), [100, 101, 102, 103])


def test_who_tells_late_of_what_was_contradicts_nobody_and_holds_nothing_up() -> None:
    night = [*busy(20, 100), ("u3", START + 9 * HOUR)]
    late = [(f"u{k % 20}", START - 5 * HOUR + k) for k in range(200)]
    assert run([*night, *late, *busy(20, 20, START + 9 * HOUR + 1)])[1] == []


def test_clocks_that_stand_still_or_go_back_are_behind_and_refuse_nothing() -> None:
    frozen = [(user, START if user in ("u0", "u1", "u2") else moment) for user, moment in busy(9, 900, every=60_000)]
    back = [(user, moment - DAY * (user == "u4")) for user, moment in frozen]
    assert sorted(run(back)[0]) == list(range(900)) and run(back)[1] == []


def test_a_clock_that_jumps_ahead_and_is_set_again_loses_only_what_it_said_meanwhile() -> None:
    told = [(user, moment + DAY * (user == "u3" and 300 <= k < 600)) for k, (user, moment) in enumerate(busy(20, 1200))]
    assert run(told)[1] == [k for k in range(300, 600) if k % 20 == 3]


def test_a_first_event_that_is_ahead_does_not_decide() -> None:
    told = [("liar", TODAY), *busy(5, 100), ("liar", TODAY + 1), *busy(5, 100, START + 100_000)]
    assert run(told)[1] == [101]


def test_there_is_room_for_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_time, "HELD_MOST", 10)
    clock = EventClock(HOUR)
    out = clock.take(stream([*busy(20, 100), *(("u3", START + DAY * (k + 1)) for k in range(50))]), T0)
    accepted, refused = numbers(out)
    assert len(accepted) >= 100 + 50 - 10 and not refused
    assert accepted + numbers(waited(clock, SteadyMs(PATIENCE_MS)))[0] == list(range(150))


def test_requests_and_what_was_refused_pass() -> None:
    asked, refused = Asked("ann", WallMs(1)), DeadLetter("event", Reason.MALFORMED, "why", b"raw", Origin("events"))
    out = EventClock(HOUR).take([refused, asked], T0)
    assert (out.accepted, out.rejected) == ([("ann", asked)], [refused])


TOLD = st.lists(
    st.tuples(st.sampled_from("abcdefg"), st.integers(0, 40).map(lambda hours: START + hours * HOUR // 2)), max_size=120
)


@given(TOLD, st.integers(0, 120))
def test_every_event_has_one_end_and_a_restart_in_the_middle_changes_none(told: list[Told], cut: int) -> None:
    accepted, refused = run(told)
    assert sorted(accepted + refused) == list(range(len(told)))
    assert run(told, cut) == (accepted, refused)


@given(st.integers(3, 20), st.integers(0, 2**32), st.integers(2, 10**6))
@settings(max_examples=40)
def test_one_liar_among_many_loses_its_own_events_and_costs_no_others(n: int, seed: int, hours: int) -> None:
    told, rng = list[Told](), random.Random(seed)  # drawn by Hypothesis itself, all might be of one user
    for step in range(60 * n):
        user = rng.randrange(n) if step > 3 * n else step % n  # two users alone have nobody else to ask
        lies = user == 0 and step > 3 * n and rng.random() < 0.7
        told.append((f"u{user}", min(START + step * 1000 + lies * hours * HOUR, TODAY)))
    accepted, refused = run(told)
    lied = {k for k, (user, moment) in enumerate(told) if user == "u0" and moment > START + 60 * n * 1000}
    settled = {k for k in lied if sum(m <= START + 60 * n * 1000 for _, m in told[k + 1 :]) > CONTRADICTED}
    assert settled <= set(refused) <= lied
    assert [k for k in accepted if k not in lied] == [k for k in range(len(told)) if k not in lied]


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, ALONE_MS)), min_size=1, max_size=20), st.integers(1, 9))
def test_a_sorted_log_with_gaps_that_one_user_may_leap_loses_nothing(bursts: list[tuple[int, int]], users: int) -> None:
    told, moment = list[Told](), START
    for length, gap in bursts:
        moment += gap
        told += [(f"u{k * 7 % users}", moment + k) for k in range(length)]
    accepted, refused = run(told)
    assert (sorted(accepted), refused) == (list(range(len(told))), [])


class Message(NamedTuple):
    topic: str
    value: bytes
    timestamp_ms: WallMs = WallMs(TODAY)
    partition: int = 0
    offset: int = 0


def message(number: int, told: Told) -> Message:
    user, timestamp = told
    return Message("events", encode_event(Event(str(number), user, "i", "c", "click", 0, EventMs(timestamp))))


def logic(clock: HandClock, saved: bytes | None = None) -> PartitionLogic:
    return PartitionLogic(saved, requests="requests", lead_ms=HOUR, clock=clock)


@pytest.mark.parametrize("step_ms", [-DAY, 0, DAY])
def test_the_flows_own_wall_clock_stepping_changes_nothing(step_ms: int) -> None:
    clock = HandClock(TODAY, 0)
    one = logic(clock)
    assert one.notify_at() is None
    one.on_batch([[message(k, told) for k, told in enumerate([*busy(9, 50), ("u1", START + DAY)])]])
    clock.passes(0, step_ms)
    assert one.notify_at() is not None
    (early,), _ = one.on_notify()
    assert not early.accepted
    again = logic(clock, one.snapshot())
    again.on_batch([END])
    clock.passes(PATIENCE_MS)
    again.snapshot()
    (out,), _ = again.on_notify()
    assert len(out.accepted) == 1 and not out.rejected and again.notify_at() is None


@pytest.mark.parametrize("contradicting", [0, 5])
def test_what_patience_decides_is_decided_again_by_whoever_goes_on_from_the_snapshot_before_it(
    contradicting: int,
) -> None:
    clock = HandClock(TODAY, 0)
    one = logic(clock)
    told = [*busy(20, 100), ("u3", START + DAY), *busy(20, contradicting, START + 100_000)]
    one.on_batch([[message(k, each) for k, each in enumerate(told)], END])
    clock.passes(PATIENCE_MS)
    assert not any(out.accepted or out.rejected for out in one.on_notify()[0])  # nothing before it is saved
    saved = one.snapshot()
    later: list[Raw] = [message(1000 + k, each) for k, each in enumerate(busy(20, 3, START + 200_000))]
    (first,), _ = one.on_batch([later])
    again = logic(clock, saved)
    (second,), _ = again.on_batch([later])
    assert first == second
    assert bool(first.rejected) == bool(contradicting) and len(first.accepted) == 4 - bool(contradicting)


@pytest.mark.parametrize("read", [False, True])
def test_what_lies_behind_an_event_decides_however_long_the_dataflow_takes_to_read_it_again(read: bool) -> None:
    clock = HandClock(TODAY, 0)
    one = logic(clock)
    told = [*busy(20, 100), ("u3", START + DAY), *busy(20, 5, START + 100_000)]
    one.on_batch([[message(k, each) for k, each in enumerate(told)]])
    again = logic(clock, one.snapshot())
    if read:
        again.on_batch([END])
    clock.passes(PATIENCE_MS)
    again.snapshot()
    (out,), _ = again.on_batch([[message(1000 + k, each) for k, each in enumerate(busy(20, 40, START + DAY))]])
    assert bool(out.rejected) == read
