"""One graph: recall, identical vectors, and what hnswlib cannot reach."""

import numpy as np
import pytest

from index.fetched import NO_ROW
from index.graph import Graph
from index.spec import PoolSpec
from tests.index.samples import KEY_DIM, random_keys
from wire.arrays import F32

SPEC = PoolSpec(key_dim=KEY_DIM, graph_nodes=1)
FEW = PoolSpec(key_dim=KEY_DIM, graph_nodes=3000)


def graph_of(keys: F32, step: int = 50, spec: PoolSpec = SPEC) -> Graph:
    graph = Graph(spec)
    for at in range(0, len(keys), step):
        graph.add(keys[at : at + step], np.arange(at, min(at + step, len(keys))) + 1000)
    return graph


def test_finds_nearly_all_of_the_nearest_and_says_where_it_was_cut_off() -> None:
    keys, queries = random_keys(3000, 1), random_keys(50, 2)
    fetched = graph_of(keys).fetch(queries, 20)
    exact = np.sort(queries @ keys.T, axis=1)[:, ::-1][:, :20]
    assert (fetched.score >= exact[:, -1:] - 1e-6).mean() > 0.99
    assert fetched.bound == pytest.approx(fetched.score[:, -1])
    assert np.take_along_axis(queries @ keys.T, fetched.row - 1000, 1) == pytest.approx(fetched.score, abs=1e-6)


def test_more_than_it_holds_is_padded_and_leaves_nothing_out() -> None:
    fetched = graph_of(random_keys(7, 1)).fetch(random_keys(2, 2), 10)
    assert (np.sort(fetched.row[:, :7], axis=1) == np.arange(1000, 1007)).all()
    assert (fetched.row[:, 7:] == NO_ROW).all() and np.isneginf(fetched.score[:, 7:]).all()
    assert np.isneginf(fetched.bound).all()


def test_rows_with_one_vector_share_a_node_and_come_newest_first() -> None:
    keys = random_keys(4, 1)[[0, 1, 0, 2, 0, 3, 0]]
    graph = graph_of(keys, step=3)
    assert graph.nodes == 4 and len(graph) == 7
    fetched = graph.fetch(keys[:1], 3)
    assert fetched.row[0].tolist() == [1006, 1004, 1002]
    assert fetched.bound[0] == pytest.approx(1, abs=1e-6)
    assert graph.fetch(keys[:1], 4).row[0].tolist() == [1006, 1004, 1002, 1000]


def test_one_history_encoded_in_different_batches_is_one_node() -> None:
    keys = np.repeat(random_keys(1, 1), 2, axis=0)
    keys[1] += np.float32(3e-8)
    assert graph_of(keys).nodes == 1


def test_grows_beyond_its_first_capacity_and_is_the_same_when_sealed() -> None:
    keys, queries = random_keys(2500, 1), random_keys(5, 2)
    graph = graph_of(keys)
    before = graph.fetch(queries, 10)
    graph.seal()
    after = graph.fetch(queries, 10)
    assert before.row.tolist() == after.row.tolist() and graph.nodes == 2500


def test_the_same_rows_make_the_same_graph() -> None:
    keys, queries = random_keys(2000, 1), random_keys(20, 2)
    first, second = (graph_of(keys).fetch(queries, 30) for _ in range(2))
    assert first.row.tolist() == second.row.tolist()


def test_rows_wait_until_somebody_looks_and_the_graph_is_the_same() -> None:
    keys, queries = random_keys(2500, 1)[np.random.default_rng(3).integers(0, 2500, 4000)], random_keys(20, 2)
    watched, waiting = Graph(SPEC), graph_of(keys)
    waiting.seal()
    for at in range(0, len(keys), 50):
        watched.add(keys[at : at + 50], np.arange(at, at + 50) + 1000)
        watched.fetch(queries[:1], 1)
    assert len(waiting) == len(watched) == 4000 and waiting.rows.tolist() == watched.rows.tolist()
    assert waiting._index is None, "nothing was linked that nobody asked for"
    found, expected = waiting.fetch(queries, 30), watched.fetch(queries, 30)
    assert found.row.tolist() == expected.row.tolist() and found.score.tolist() == expected.score.tolist()


def test_one_node_too_many_makes_a_graph_of_all() -> None:
    keys, queries = random_keys(3050, 1), random_keys(50, 2)
    graph = graph_of(keys[:3000], spec=FEW)
    assert not graph.indexed
    graph.add(keys[3000:], np.arange(3000, 3050) + 1000)
    assert graph.indexed and graph.nodes == 3050
    fetched, expected = graph.fetch(queries, 20), graph_of(keys).fetch(queries, 20)
    assert fetched.row.tolist() == expected.row.tolist()


def test_a_graph_in_pieces_asks_for_an_exact_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """hnswlib then fails the whole batch and leaks, so it is not asked again until the graph has grown."""
    graph = graph_of(random_keys(100, 1))
    graph.link()
    asked = []

    class Broken:
        def set_ef(self, ef: int) -> None: ...

        def knn_query(self, *_: object, **__: object) -> None:
            asked.append(1)
            raise RuntimeError("Cannot return the results in a contiguous 2D array")

    monkeypatch.setattr(graph, "_index", Broken())
    for _ in range(3):
        fetched = graph.fetch(random_keys(2, 2), 10)
        assert np.isposinf(fetched.bound).all() and (fetched.row == NO_ROW).all()
    assert len(asked) == 1
