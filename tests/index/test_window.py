"""The window's order and edge, against tuples and sorting."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from index.window import EVERYTHING, Floor, above, age_floor, nth_oldest
from wire.moments import NO_EVENT, EventMs

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


def test_the_age_limit_is_exclusive() -> None:
    floor = age_floor(EventMs(100), 30)
    assert above(np.array([70, 71]), np.array([2**64 - 1, 1], np.uint64), floor).tolist() == [False, True]
    assert age_floor(NO_EVENT, 30) == EVERYTHING
