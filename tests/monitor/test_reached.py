"""A frontier is a promise: nothing that was there before it is left to do."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.reached import Reached

STEPS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), min_size=1, max_size=60)


@given(STEPS)
def test_nothing_produced_before_the_frontier_is_left(steps: list[tuple[int, int]]) -> None:
    """Each second so many events come and so many are done; the truth is when the oldest that is left came."""
    reached, produced_ms, done = Reached(), [], 0
    for second, (come, do) in enumerate(steps):
        produced_ms += [second * 1000 + 500] * come
        done = min(len(produced_ms), done + do)
        asked_ms = (second + 1) * 1000
        until_ms = reached.look(asked_ms, done, len(produced_ms))
        assert until_ms <= (produced_ms[done] if done < len(produced_ms) else asked_ms)
        if done == len(produced_ms):
            assert until_ms == asked_ms, "an idle or caught-up partition is done up to this very moment"


def test_whoever_is_always_a_little_behind_is_not_taken_for_stuck() -> None:
    reached = Reached()
    for second in range(100):
        until_ms = reached.look(second * 1000, position=second * 50, end=(second + 2) * 50)
    assert until_ms == 97_000, "what was there two looks ago is done, though never all of what is there"


def test_a_partition_that_never_moved_is_done_up_to_now_if_it_is_empty_and_never_if_it_is_not() -> None:
    empty, full = Reached(), Reached()
    for second in range(1, 5000):
        assert empty.look(second * 1000, 0, 0) == second * 1000
        assert full.look(second * 1000, 0, 7) == 0


def test_a_topic_that_was_made_anew_does_not_wait_for_offsets_of_the_old_one() -> None:
    reached = Reached()
    reached.look(1000, position=80, end=100)
    assert reached.look(2000, position=0, end=3) == 0
    assert reached.look(3000, position=3, end=3) == 3000


def test_hours_of_being_behind_take_bounded_memory_and_still_say_a_moment_that_is_true() -> None:
    reached = Reached()
    for second in range(20_000):
        reached.look(second * 1000, position=0, end=second + 1)
    until_ms = reached.look(20_000_000, position=15_000, end=20_001)
    assert 14_500_000 <= until_ms < 15_000_000


def test_a_partition_that_stands_still_ages_though_the_clock_was_set_back() -> None:
    reached, back_ms = Reached(), 3_600_000
    for second in range(5):
        reached.look(10_000_000 + second * 1000, position=9, end=9 + second)
    for second in range(5, 60):
        asked_ms = 10_000_000 - back_ms + second * 1000
        age_s = (asked_ms - reached.look(asked_ms, position=9, end=9 + second)) / 1000
        assert second - 1 <= age_s <= second
    assert asked_ms - reached.look(asked_ms, position=60, end=99) < 10_000, "and what was seen since is known"
