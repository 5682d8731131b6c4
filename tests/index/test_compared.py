"""Rows without an index as one source: exact, whether a row is in a graph, in none, or came later."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.compared import Compared
from index.fetched import NO_ROW, Part
from index.graph import Graph
from index.highest import SIFTED_FROM
from index.nodes import NO_NODES, Nodes
from index.sight import ranks
from index.spec import PoolSpec
from tests.index.samples import KEY_DIM, all_seen, random_keys
from wire.arrays import F32, I64

SPEC = PoolSpec(key_dim=KEY_DIM)


@pytest.fixture(
    autouse=True, scope="module", params=[(True, 0), (True, 1 << 17), (False, 0)], ids=["passed", "bytes", "floats"]
)
def processor(request: pytest.FixtureRequest) -> Iterator[None]:
    """With a fast product of bytes, for which there are many vectors or few, and without."""
    with pytest.MonkeyPatch.context() as patch:
        fast, many = request.param
        patch.setattr("index.compared.FAST_BYTES", fast)
        patch.setattr("index.codes.MANY", many)
        yield


def compared(keys: F32, sizes: list[int]) -> Compared:
    """The first keys grouped in runs of these sizes, the last of them in none; rows count from 1000."""
    source = Compared(KEY_DIM)
    source.add(np.arange(sum(sizes)) + 1000, keys[: sum(sizes)])
    for at in np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])[:-1]:
        graph = Graph(SPEC)
        graph.add(keys[at], at + 1000)
        put_together(source, graph.grouped(), at + 1000, keys)
    return source


def put_together(source: Compared, nodes: Nodes, run: I64, keys: F32) -> None:
    """A run's rows, which count from 1000, by their nodes."""
    source.replace(int(run[0]), int(run[-1]) + 1, nodes, keys[nodes.oldest - 1000])


def check(found: Part, queries: F32, keys: F32, k: int) -> None:
    """Against every row's exact score; float32 may take scores this close for one another."""
    exact = queries.astype(np.float64) @ keys.T.astype(np.float64)
    lengths = [np.linalg.norm(vectors.astype(np.float64), axis=1) for vectors in (queries, keys)]
    apart = 1e-6 * lengths[0][:, None] * lengths[1].max() + 1e-40
    for query, (rows, scores) in enumerate(zip(*found, strict=True)):
        row, score, tie = rows[rows != NO_ROW], scores[rows != NO_ROW], apart[query]
        assert len(set(row.tolist())) == len(row) == min(k, len(keys)) and (np.diff(score) <= 0).all()
        assert (np.abs(exact[query, row - 1000] - score) <= tie).all()
        assert (np.abs(np.sort(exact[query])[::-1][:k] - score) <= tie).all()


@given(st.integers(1, 40), st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(1, 40), st.integers(0, 99))
def test_the_best_rows_of_all_graphs(distinct: int, sizes: list[int], k: int, seed: int) -> None:
    n, rng = sum(sizes), np.random.default_rng(seed)
    keys, queries = random_keys(distinct, seed)[rng.integers(0, distinct, n)], random_keys(3, seed + 1)
    source = compared(keys, sizes)
    assert sorted(source.rows.tolist()) == list(range(1000, 1000 + n))
    check(source.best(queries, all_seen(len(keys), len(queries)), k), queries, keys, k)


@given(
    st.lists(st.sampled_from([0.0, 1e-45, 1e-30, 1e-6, 1.0, 1e9]), min_size=2, max_size=30),
    st.integers(1, 40),
    st.integers(0, 99),
)
def test_vectors_of_all_lengths(lengths: list[float], k: int, seed: int) -> None:
    keys = random_keys(len(lengths), seed) * np.array(lengths, np.float32)[:, None]
    queries = random_keys(3, seed + 1) * np.array([1, 1e9, 1e-30], np.float32)[:, None]
    check(compared(keys, [len(keys)]).best(queries, all_seen(len(keys), len(queries)), k), queries, keys, k)


@pytest.mark.parametrize("spread", [1, 1e-2, 1e-4, 0], ids=["apart", "near", "nearer", "equal"])
def test_of_many_that_are_like_each_other(spread: float) -> None:
    """Where codes say little, more is compared, and nothing is missed."""
    keys = random_keys(1, 1) + spread * random_keys(SIFTED_FROM + 4000, 2)
    queries = np.concatenate([keys[:2], random_keys(2, 3)])
    check(compared(keys, [len(keys)]).best(queries, all_seen(len(keys), len(queries)), 300), queries, keys, 300)


def test_rows_that_came_since_are_found_too() -> None:
    keys, queries = random_keys(3000, 1), random_keys(20, 2)
    keys[2500:] *= 3  # longer than all that were there
    source = Compared(KEY_DIM)
    source.add(np.arange(2000) + 1000, keys[:2000])
    source.add(np.arange(2000, 2600) + 1000, keys[2000:2600])
    source.add(np.arange(2600, 3000) + 1000, keys[2600:])
    assert sorted(source.rows.tolist()) == list(range(1000, 4000))
    check(source.best(queries, all_seen(len(keys), len(queries)), 50), queries, keys, 50)


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["come", "put together", "leave"])), max_size=20))
def test_runs_come_are_put_together_and_leave_in_any_order(steps: list[tuple[int, str]]) -> None:
    keys, queries = random_keys(30, 1)[np.random.default_rng(0).integers(0, 30, 2000)], random_keys(2, 2)
    source, runs, end = Compared(KEY_DIM), [np.arange(1000, 1005)], 1005
    source.add(runs[0], keys[runs[0] - 1000])
    for at, step in steps:
        run = runs[at % len(runs)]
        if step == "come":
            runs.append(np.arange(end, end + 7 + at))
            end = runs[-1][-1] + 1
            source.add(runs[-1], keys[runs[-1] - 1000])
        elif step == "put together":
            graph = Graph(SPEC)
            graph.add(keys[run - 1000], run)
            put_together(source, graph.grouped(), run, keys)
        elif len(runs) > 1:
            del runs[at % len(runs)]
            put_together(source, NO_NODES, run, keys)
    rows = np.concatenate(runs)
    assert sorted(source.rows.tolist()) == rows.tolist()
    assert source.vectors(source.nodes(rows, 1000, end)).tolist() == keys[rows - 1000].tolist()
    assert (source.nodes(np.setdiff1d(np.arange(1000, end), rows), 1000, end) == -1).all()
    score = queries.astype(np.float64) @ keys[rows - 1000].T.astype(np.float64)
    (_, found), most = source.best(queries, all_seen(len(keys), 2), 12), min(12, len(rows))
    assert found[:, :most] == pytest.approx(np.sort(score)[:, ::-1][:, :most], abs=1e-6)


@given(st.lists(st.booleans(), min_size=20, max_size=20), st.integers(0, 2), st.integers(0, 99))
def test_nodes_that_keep_their_vectors_are_those_that_get_them_anew(kept: list[bool], run: int, seed: int) -> None:
    keys, queries, sizes = random_keys(60, seed), random_keys(3, seed + 1), [20, 20, 20]
    keys[20 * run] *= 3  # the longest, which may go
    one, other = compared(keys, sizes), compared(keys, sizes)
    start, stop = 1000 + 20 * run, 1020 + 20 * run
    nodes = Nodes.each(np.arange(start, stop)[np.array(kept)])
    one.keep(start, stop, nodes, one.nodes(nodes.oldest, start, stop))
    other.replace(start, stop, nodes, keys[nodes.oldest - 1000])
    assert one.rows.tolist() == other.rows.tolist()
    found, expected = (source.best(queries, all_seen(len(keys), len(queries)), 50) for source in (one, other))
    assert found[0].tolist() == expected[0].tolist() and found[1].tobytes() == expected[1].tobytes()


@pytest.mark.parametrize("n", [50, SIFTED_FROM + 2000])
def test_an_answer_does_not_depend_on_what_else_is_asked(n: int) -> None:
    keys, queries = random_keys(n, 1)[np.random.default_rng(3).integers(0, n, n)], random_keys(64, 2)
    source = compared(keys, [n])
    sight = all_seen(n, 64)
    rows, scores = source.best(queries, sight, 100)
    for at in range(64):
        row, score = source.best(queries[at : at + 1], sight.take(slice(at, at + 1)), 100)
        assert row[0].tolist() == rows[at].tolist() and score[0].tobytes() == scores[at].tobytes()


def test_nor_on_how_the_queries_lie_in_memory() -> None:
    """Each other way would be compiled anew, too, while somebody waits."""
    source, sight, queries = compared(random_keys(500, 1), [500]), all_seen(500, 4), random_keys(4, 2)
    rows, scores = source.best(queries, sight, 100)
    ready, still = len(ranks.signatures), queries.copy()  # type: ignore[attr-defined]
    still.setflags(write=False)
    double: Any = queries.astype(np.float64)
    for same in (np.asfortranarray(queries), np.repeat(queries, 2, axis=1)[:, ::2], still, double):
        row, score = source.best(same, sight, 100)
        assert row.tolist() == rows.tolist() and score.tobytes() == scores.tobytes()
    assert len(ranks.signatures) == ready  # type: ignore[attr-defined]


def test_however_many_of_the_best_may_not_be_seen_the_best_of_the_others_are_found() -> None:
    n, k = SIFTED_FROM + 6000, 50
    keys, query = random_keys(n, 1), random_keys(1, 2)
    order = np.argsort(-(keys @ query[0]), kind="stable")
    for hidden in (1, k, 20 * k, n - k, n - k + 1, n):
        sight = all_seen(n, 1)
        rows = sight.rows[order[:hidden]]
        rows["user"][::3], rows["live"][1::3], rows["timestamp"][2::3] = 1, False, 1
        sight.rows[order[:hidden]] = rows
        row, score = compared(keys, [n]).best(query, sight, k)
        assert row[0, row[0] != NO_ROW].tolist() == (order[hidden : hidden + k] + 1000).tolist()
        assert np.isneginf(score[0, max(0, n - hidden) :]).all()


def test_letting_go_of_what_only_adding_needs_changes_nothing() -> None:
    keys = np.repeat(random_keys(3000, 1), 2, axis=0)
    graph = Graph(SPEC)
    for part in np.split(np.arange(len(keys)), 100):  # room is made ahead of need
        graph.add(keys[part], part)
        graph.link()
    before, bytes_before = graph.grouped(), graph.nbytes()
    graph.seal()
    after = graph.grouped()
    assert after.row.tolist() == before.row.tolist() and after.start.tolist() == before.start.tolist()
    assert graph.nbytes() < bytes_before
