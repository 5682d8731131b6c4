"""What a query may see, row by row and in loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.fetched import NO_ROW
from index.matches import Limits
from index.sight import Sight, _rank, _score_of, ranks
from index.table import SEEN, Table
from tests.index.samples import random_keys, samples

BASE, AGE_MS = 1000, 5
TABLE_ROW = st.tuples(st.integers(0, 9), st.integers(0, 2), st.booleans())


def sight_of(rows: list[tuple[int, int, bool]], asker: int, before_ms: int) -> Sight:
    table = np.zeros(len(rows), SEEN)
    for at, (timestamp, user, live) in enumerate(rows):
        table[at] = timestamp, user, live
    limits = Limits(np.array([7, asker], np.uint64), np.array([0, before_ms]))
    return Sight(table, BASE, AGE_MS, limits)


@given(st.lists(TABLE_ROW, min_size=1, max_size=20), st.integers(0, 2), st.integers(0, 12), st.data())
def test_rows_of_nodes_are_those_that_the_query_may_see(
    rows: list[tuple[int, int, bool]], asker: int, before_ms: int, data: st.DataObject
) -> None:
    sight, n = sight_of(rows, asker, before_ms), len(rows)
    expected = [
        BASE + at
        for at, (timestamp, user, live) in enumerate(rows)
        if live and user != asker and before_ms - AGE_MS < timestamp < before_ms
    ]
    assert np.flatnonzero(sight.allowed(np.arange(BASE, BASE + n)[None])[1]).tolist() == [r - BASE for r in expected]
    assert not sight.allowed(np.array([[NO_ROW]])).any()
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=4)))
    held = np.arange(BASE, BASE + n), np.array([0, *cuts, n], np.int32)
    order = np.array(data.draw(st.permutations(range(len(cuts) + 1))))
    best = np.array([_rank(np.float32(-at), node) for at, node in enumerate(order)])
    k = data.draw(st.integers(0, n))
    into = np.full(k, NO_ROW), np.full(k, -np.inf)
    found = sight.of_nodes(1, best, held, into)
    by_node = [(row, -at) for at, node in enumerate(order) for row in range(*(BASE + held[1][node : node + 2]))]
    seen = [(row, at) for row, at in by_node if row in expected][:k]
    assert list(zip(into[0][:found].tolist(), into[1][:found].tolist(), strict=True)) == seen
    assert (into[0][found:] == NO_ROW).all() and np.isneginf(into[1][found:]).all()


def test_it_lies_in_the_table_as_it_is_looked_for() -> None:
    table, block = Table(), samples(range(10, 60))
    table.append(block)
    rows, base = table.seen
    assert base == 0 and rows["timestamp"][:50].tolist() == block.timestamp.tolist()
    assert rows["user"][:50].tolist() == block.user.tolist() and rows["live"].sum() == 50


def test_similarities_are_inner_products_and_do_not_depend_on_what_stands_beside() -> None:
    vectors, query = random_keys(500, 1, dim=96), random_keys(1, 2, dim=96)[0]
    at = np.random.default_rng(0).permutation(500)
    found = ranks(at, vectors, query)
    score = np.array([_score_of(rank) for rank in found])
    assert score == pytest.approx(vectors[at] @ query, abs=1e-6)
    alone = [ranks(at[n : n + 1], vectors, query)[0] for n in range(500)]
    assert found.tolist() == alone


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=40))
def test_ranks_rise_as_scores_fall_and_equal_ones_by_number(scores: list[float]) -> None:
    score = np.array(scores, np.float32) + np.float32(0)  # no -0, which comes behind 0
    numbers = np.random.default_rng(len(scores)).permutation(2**32 - 1 - np.arange(len(scores)))
    expected = sorted(zip((-score).tolist(), numbers.tolist(), strict=True))
    best = sorted(_rank(*each) for each in zip(score, numbers, strict=True))
    assert [(-_score_of(rank), rank & (2**32 - 1)) for rank in best] == expected
