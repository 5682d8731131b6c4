"""Time by what many say: no one clock moves it, none holds it up, and none turns it back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.quorum import FAR_MS, MANY, MEMBERS, Quorum, agreed, reached
from wire.moments import NO_EVENT, EventMs

HOUR = 3_600_000
FAR = EventMs(10**12)
CLAIMS = st.lists(st.tuples(st.integers(1, 20), st.integers(0, 50).map(EventMs)), max_size=60)


def said(quorum: Quorum, *claims: tuple[int, int]) -> list[int]:
    return [quorum.claim(user, EventMs(moment)) for user, moment in claims]


@given(st.integers(3, 30), st.lists(st.integers(0, 29), min_size=1, max_size=80), st.data())
def test_one_liar_among_three_or_more_users_never_moves_time(n: int, turns: list[int], data: st.DataObject) -> None:
    quorum = Quorum()
    said(quorum, *((user, 1) for user in range(n)))
    for step, turn in enumerate(turns):
        user = turn % n
        lie = data.draw(st.sampled_from([NO_EVENT, EventMs(0), FAR])) if user == 0 else EventMs(step + 1)
        assert quorum.claim(user, lie) <= step + 1


def test_two_liars_move_nothing_among_many_however_often_they_speak() -> None:
    quorum = Quorum()
    said(quorum, *((user, 100) for user in range(MEMBERS)))
    assert said(quorum, *((1 + n % 2, FAR + n) for n in range(100))) == [100] * 100


def test_three_of_many_move_time_by_a_day_at_most_and_further_takes_the_greater_half() -> None:
    quorum = Quorum()
    said(quorum, *((user, 100) for user in range(MEMBERS)))
    assert said(quorum, *((user, FAR_MS) for user in range(3))) == [100, 100, FAR_MS]
    assert set(said(quorum, *((user, FAR) for user in range(8)))) == {FAR_MS}
    assert quorum.claim(8, EventMs(FAR)) == FAR


def test_some_rows_dated_today_are_not_how_far_a_head_has_come() -> None:
    user = np.arange(50, dtype=np.uint64)
    moment = np.where(user < 4, FAR, 1000 + user.astype(np.int64))
    assert reached(user, moment) <= 1049


def test_clocks_that_stand_still_or_go_back_hold_nothing_up() -> None:
    quorum = Quorum()
    said(quorum, *((user, 100) for user in range(MEMBERS)))
    for step in range(1, 50):
        said(quorum, *((frozen, 100) for frozen in range(6)), (6, 0))
        said(quorum, *((user, 100 + step) for user in (7, 8, 9)))
        assert quorum.now == 100 + step


@given(CLAIMS)
def test_what_many_agreed_on_once_is_never_taken_back(claims: list[tuple[int, EventMs]]) -> None:
    quorum, best = Quorum(), NO_EVENT
    for user, moment in claims:
        now = quorum.claim(user, moment)
        if len(quorum.state().votes) >= MANY:
            assert now >= best
            best = now


def test_a_first_user_with_a_wrong_clock_is_overruled_by_the_next_two() -> None:
    assert said(Quorum(), (1, FAR), (2, 100), (3, 101), (4, 102))[1:] == [100, 101, 101]


def test_one_user_alone_is_believed_the_second_time() -> None:
    quorum = Quorum()
    assert said(quorum, (1, 10), (1, 11), (1, FAR), (1, 12)) == [10, 10, 11, 12]
    assert said(quorum, (1, FAR), (1, FAR + 1)) == [FAR, FAR], "said twice of three times"


def test_who_is_left_alone_begins_again_and_is_believed() -> None:
    quorum = Quorum()
    said(quorum, *((user, 100) for user in range(MEMBERS)))
    quorum.begin_again(3, FAR)
    assert quorum.now == FAR
    assert said(quorum, (4, 200), (5, 201)) == [200, 201], "unless others say otherwise"


def test_what_two_users_said_is_not_believed_against_many() -> None:
    assert said(Quorum(), (1, FAR), (2, FAR), (3, 5), (4, 6), (5, 7), (6, 8))[-1] == 8


@given(CLAIMS, st.integers(0, 60), st.integers(0, 5))
def test_a_restart_in_the_middle_changes_nothing(claims: list[tuple[int, EventMs]], cut: int, slack_ms: int) -> None:
    whole, part = Quorum(slack_ms), Quorum(slack_ms)
    expected = said(whole, *claims)
    given_ = said(part, *claims[:cut])
    assert given_ + said(Quorum.restore(part.state(), slack_ms), *claims[cut:]) == expected


@given(CLAIMS, st.integers(0, 20))
def test_slack_is_all_that_time_lags(claims: list[tuple[int, EventMs]], slack_ms: int) -> None:
    exact, lazy = Quorum(), Quorum(slack_ms)
    for user, moment in claims:
        assert exact.claim(user, moment) - slack_ms <= lazy.claim(user, moment) <= exact.now


@pytest.mark.parametrize(("claims", "moment"), [([5], 5), ([5, 9], 5), ([5, 6, 9], 6), ([1, 2, 3, 8, 9], 3)])
def test_what_is_agreed(claims: list[int], moment: int) -> None:
    assert agreed([EventMs(claim) for claim in claims]) == moment


def test_of_a_users_samples_the_newest_counts() -> None:
    user = np.array([1, 1, 1, 2, 3], np.uint64)
    assert reached(user, np.array([7, 10**12, 8, 20, 30])) == 30
    assert reached(user[:3], np.array([7, 10**12, 8])) == 10**12, "one user alone is all there is to believe"
