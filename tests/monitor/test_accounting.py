"""The accounts add up, or say by name what does not."""

from monitor.accounting import accounting
from monitor.state import State


def test_accounts_that_add_up_have_nothing_to_say() -> None:
    state = State(
        produced=5,
        pooled=3,
        rejected={"late": 1, "duplicate": 1},
        pushes=4,
        push_outcomes={"acknowledged": 2, "superseded": 1, "expired": 1},
    )
    assert accounting(state).discrepancies() == []


def test_a_lost_event_is_named_with_what_is_known_of_the_others() -> None:
    (line,) = accounting(State(produced=5, pooled=3, rejected={"late": 1})).discrepancies()
    assert line == "events: 5 produced, but 3 pooled + 0 waiting + 1 (late 1) rejected (1 unaccounted for)"


def test_something_counted_twice_is_named_as_such() -> None:
    (line,) = accounting(State(pushes=1, push_outcomes={"acknowledged": 2})).discrepancies()
    assert "1 counted too often" in line


def test_a_push_without_outcome_is_named() -> None:
    (line,) = accounting(State(pushes=3, push_outcomes={"acknowledged": 2})).discrepancies()
    assert "1 unaccounted for" in line
