"""Rows by their nodes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from index.nodes import Nodes


def rows_of(nodes: Nodes) -> list[list[int]]:
    return [nodes.row[nodes.start[i] : nodes.start[i + 1]].tolist() for i in range(len(nodes))]


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=20))
def test_rows_that_are_not_kept_leave_the_order_of_others(drawn: list[tuple[int, bool]]) -> None:
    node = np.array([which for which, _ in drawn], np.int64)
    kept = np.array([stays for _, stays in drawn], np.bool_)
    nodes = Nodes.of(np.arange(len(drawn)), node, 6)
    few = nodes.where(kept[nodes.row])
    expected = [[row for row in rows if kept[row]] for rows in rows_of(nodes)]
    assert rows_of(few) == [rows for rows in expected if rows]
    assert few.oldest.tolist() == [min(rows) for rows in expected if rows]
