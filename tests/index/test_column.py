"""Parts of a column are replaced like those of a list."""

import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from index.column import LEAST_ROOM, Column

PLACE = st.floats(0, 1)


@given(st.lists(st.tuples(PLACE, PLACE, st.sampled_from([0, 1, 2, 5, LEAST_ROOM])), max_size=20))
def test_like_a_list(steps: list[tuple[float, float, int]]) -> None:
    column, number = Column(np.int64, (2,)), 0
    expected: list[list[int]] = []
    for one, other, n in steps:
        start, stop = sorted(round(place * len(expected)) for place in (one, other))
        new = np.arange(number, number + 2 * n).reshape(n, 2)
        number += 2 * n
        expected[start:stop] = new.tolist()
        column.splice(start, stop, new)
        assert column.values.tolist() == expected
    assert column.nbytes >= column.values.nbytes


def test_what_leaves_at_the_front_while_as_much_comes_at_the_end_moves_seldom() -> None:
    column, arrays = Column(np.int64), set()
    column.splice(0, 0, np.arange(8000))
    for _ in range(80):
        column.splice(0, 100, np.zeros(0, np.int64))
        column.splice(7900, 7900, np.arange(100))
        arrays.add(column.values.base.ctypes.data)  # type: ignore[union-attr]
    assert len(arrays) < 8


def test_what_moves_is_not_copied_to_elsewhere() -> None:
    column = Column(np.float32, (96,))
    column.splice(0, 0, np.zeros((8000, 96), np.float32))
    new = np.ones((1000, 96), np.float32)
    tracemalloc.start()
    for _ in range(16):
        column.splice(10, 1010, new[:0])
        column.splice(6990, 6990, new)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < column.values.nbytes / 2


def test_gives_room_back() -> None:
    column = Column(np.int64)
    column.splice(0, 0, np.arange(1_000_000))
    column.splice(1000, 1_000_000, np.zeros(0, np.int64))
    for _ in range(100):
        column.splice(1000, 1000, np.arange(20_000))
        column.splice(0, 20_000, np.zeros(0, np.int64))
    assert column.nbytes < 500_000
