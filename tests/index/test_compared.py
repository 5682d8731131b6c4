"""Few vectors as one source: exact, whichever graph a row is in, and when it is in none."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from index.compared import SLACK, Compared, Few, Loose
from index.fetched import NO_ROW
from index.graph import Graph
from index.spec import PoolSpec
from tests.index.samples import KEY_DIM, random_keys
from wire.arrays import F32

SPEC = PoolSpec(key_dim=KEY_DIM)


def compared(keys: F32, sizes: list[int]) -> Compared:
    """Keys in graphs of these sizes, the last of them in none; rows count from 1000."""
    parts: list[Few] = []
    rows = np.arange(len(keys)) + 1000
    *linked, loose = np.split(np.arange(len(keys)), np.cumsum(sizes)[:-1])
    for at in linked:
        graph = Graph(SPEC)
        graph.add(keys[at], rows[at])
        parts.append(graph)
    return Compared([*parts, Loose(rows[loose], keys[loose])])


@given(st.integers(1, 40), st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(1, 40), st.integers(0, 99))
def test_the_best_rows_of_all_graphs(distinct: int, sizes: list[int], k: int, seed: int) -> None:
    n, rng = sum(sizes), np.random.default_rng(seed)
    keys, queries = random_keys(distinct, seed)[rng.integers(0, distinct, n)], random_keys(3, seed + 1)
    source = compared(keys, sizes)
    assert source.rows.tolist() == list(range(1000, 1000 + n))
    fetched, score = source.fetch(queries, k), queries @ keys.T
    want = k + k // SLACK
    for query, row in enumerate(fetched.row):
        found = row[row != NO_ROW]
        assert len(set(found.tolist())) == len(found) == min(want, n)
        assert np.allclose(score[query, found - 1000], fetched.score[query, : len(found)], atol=1e-6)
        assert np.allclose(np.sort(score[query])[::-1][:want], fetched.score[query, : len(found)], atol=1e-6)
        left_out = np.delete(score[query], found - 1000)
        assert (left_out <= fetched.bound[query] + 1e-6).all()
        assert len(left_out) or np.isneginf(fetched.bound[query])


def test_letting_go_of_what_only_adding_needs_changes_nothing() -> None:
    keys, queries = np.repeat(random_keys(3000, 1), 2, axis=0), random_keys(50, 2)
    graph = Graph(SPEC)
    for part in np.split(np.arange(len(keys)), 100):  # room is made ahead of need
        graph.add(keys[part], part)
        graph.link()
    before, bytes_before = Compared([graph]).fetch(queries, 20), graph.nbytes()
    graph.seal()
    assert Compared([graph]).fetch(queries, 20).row.tolist() == before.row.tolist()
    assert graph.nbytes() < bytes_before
