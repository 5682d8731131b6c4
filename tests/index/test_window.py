"""The window's order and edge, against tuples and sorting."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from index.window import EVERYTHING, Floor, above, age_floor, late_rows, nth_oldest

PLACES = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=12)
FLOORS = st.one_of(st.just(EVERYTHING), st.builds(Floor, st.integers(0, 5), st.integers(1, 5)))


def columns(places: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([t for t, _ in places], np.int64), np.array([s for _, s in places], np.uint64)


@given(PLACES, FLOORS)
def test_above_compares_like_tuples(places: list[tuple[int, int]], floor: Floor) -> None:
    assert above(*columns(places), floor).tolist() == [place > floor for place in places]


@given(PLACES, st.data())
def test_nth_oldest_is_the_nth_of_the_sorted(places: list[tuple[int, int]], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(places)))
    assert nth_oldest(*columns(places), n) == sorted(places)[n - 1]


@given(PLACES, st.integers(1, 6), st.integers(0, 12))
def test_splitting_a_block_changes_no_verdict(places: list[tuple[int, int]], age: int, cut: int) -> None:
    whole = late_rows(*columns(places), EVERYTHING, None, age).tolist()
    verdicts, clock = [], None
    for part in (places[:cut], places[cut:]):
        if part:
            verdicts += late_rows(*columns(part), EVERYTHING, clock, age).tolist()
            clock = max(t for t, _ in part)
    assert whole == verdicts


def test_the_age_limit_is_exclusive() -> None:
    floor = age_floor(100, 30)
    assert above(np.array([70, 71]), np.array([2**64 - 1, 1], np.uint64), floor).tolist() == [False, True]
    assert age_floor(None, 30) == EVERYTHING
