"""The columns in memory, against lists."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.table import MOVE, Table
from index.window import Floor
from tests.index.samples import samples


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40)), min_size=1, max_size=20))
def test_rows_stay_what_they_were_while_others_come_and_go(moves: list[tuple[int, int]]) -> None:
    table = Table(capacity=8)
    expected: list[int] = []
    for come, go in moves:
        keys = range(len(expected) + 1, len(expected) + 1 + come)
        table.append(samples([10 * key for key in keys], keys=keys))
        expected.extend(keys)
        table.first = min(table.first + go, table.end)
        span = table.span(table.first, table.end)
        assert table.sample[span].tolist() == expected[table.first :]
        assert table.timestamp[span].tolist() == [10 * key for key in expected[table.first :]]
        assert table.live[span].all()


def test_what_is_at_or_below_the_floor_dies_once() -> None:
    table = Table()
    table.append(samples([5, 5, 6, 9], keys=[1, 2, 3, 4]))
    floor = Floor(5, 1)
    assert table.count_up_to(0, 4, floor) == 1 == table.expire(0, 4, floor)
    assert table.count_up_to(0, 4, floor) == 0 == table.expire(0, 4, floor)
    assert table.live[table.span(0, 4)].tolist() == [False, True, True, True]


def test_rows_move_a_few_at_a_time_and_those_that_died_stay_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    table, moved, died = Table(capacity=256), [], 0
    move = Table._move

    def noted(self: Table, to: Any, n: int) -> None:
        moved.append(min(n, self.end - to.end))
        move(self, to, n)

    monkeypatch.setattr(Table, "_move", noted)
    for first in range(1, 4001, 4):
        keys = range(first, first + 4)
        table.append(samples(keys, keys=keys))
        died += table.expire(table.first, table.end, Floor(first - 300, 2**64 - 1))
        table.first = max(0, first - 400)
        span = table.span(table.first, table.end)
        assert table.sample[span].tolist() == list(range(table.first + 1, first + 4))
        assert table.live[span].sum() == table.end - died == min(first + 3, 303)
    assert sum(moved) > 2000 and max(moved) <= 4 * MOVE


def test_copied_rows_live_on_at_the_end() -> None:
    table = Table(capacity=4)
    table.append(samples([5, 6, 7]))
    table.copy_rows(np.array([0, 2]))
    assert table.sample[table.span(0, 5)].tolist() == [1, 2, 3, 1, 3]
    assert table.live[table.span(0, 5)].tolist() == [False, True, False, True, True]
