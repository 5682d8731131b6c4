"""Search through graphs: the limits cost no recall, and what graphs miss is searched exactly."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from index.matches import Matches
from index.pool import Pool
from index.spec import PoolSpec
from index.verify import recall_of, verify
from tests.index.samples import KEY_DIM, random_keys, reencoded, samples
from wire.identity import ModelId

SPEC = PoolSpec(key_dim=KEY_DIM, graph_nodes=1, segment_rows=800, ring_rows=100, window_count=4000, window_age_ms=10**9)


def filled(path: Path, n: int = 5000, user_of_nearest: bool = False) -> Pool:
    pool = Pool.open(path, SPEC)
    keys = random_keys(n, 1)
    users = 10 + np.arange(n) % 50
    if user_of_nearest:  # the asker's own samples are all the nearest ones
        users[np.argsort(-(keys @ random_keys(1, 7)[0]))[: n // 5]] = 1
    block = samples(range(1, n + 1), users=users.tolist(), match_key=keys)
    for at in range(0, n, 500):
        pool.upsert(block.take(slice(at, at + 500)))
    return pool


def test_recall_over_segments_ring_and_a_segment_that_is_leaving(tmp_path: Path) -> None:
    with filled(tmp_path / "pool") as pool:
        assert len(pool.memory.segments) > 4 and pool.memory.ring == 100
        found = verify(pool, queries=200, k=50, seed=0)
        assert found.recall > 0.99 and found.found_themselves > 0.99 and found.consistent
        assert pool.memory.effort.exact < 0.1 * pool.memory.effort.fetches


def test_own_samples_in_front_cost_no_recall(tmp_path: Path) -> None:
    with filled(tmp_path / "pool", user_of_nearest=True) as pool:
        asked = random_keys(1, 7), np.array([1], np.uint64), np.array([10**6]), 30
        matches = pool.search(*asked)
        assert recall_of(matches.score, pool.search_exactly(*asked).score) == 1
        assert matches.found().tolist() == [[30, 30]]
        assert pool.memory.effort.exact > 0


def test_a_query_from_long_ago_costs_no_recall(tmp_path: Path) -> None:
    with filled(tmp_path / "pool") as pool:
        asked = random_keys(20, 3), np.full(20, 9, np.uint64), np.full(20, 1300), 40
        matches = pool.search(*asked)
        assert recall_of(matches.score, pool.search_exactly(*asked).score) > 0.99
        assert (matches.found() == 40).all()


@pytest.mark.parametrize("way", [Pool.search, Pool.search_exactly])
def test_who_asks_for_none_finds_none(tmp_path: Path, way: Callable[..., Matches]) -> None:
    with filled(tmp_path / "pool") as pool:
        found = way(pool, random_keys(2, 3), np.full(2, 9, np.uint64), np.full(2, 10**6), 0)
        assert found.row.shape == found.score.shape == (2, 2, 0)


def test_a_graph_in_pieces_costs_no_recall(tmp_path: Path) -> None:
    with filled(tmp_path / "pool") as pool:
        for segment in pool.memory.segments:
            for graph in segment.graphs.values():
                graph._failed_at = graph.nodes
        assert verify(pool, queries=30, k=20, seed=0).recall == 1


def test_recall_counts_ties_and_missing_rows() -> None:
    exact = np.array([[[3.0, 2.0, 2.0], [1.0, -np.inf, -np.inf]]])
    assert recall_of(exact, exact) == 1
    assert recall_of(np.array([[[3.0, 2.0, 1.0], [1.0, -np.inf, -np.inf]]]), exact) == 0.75
    assert recall_of(np.array([[[3.0, 2.0, 2.0], [0.5, -np.inf, -np.inf]]]), exact) == 0.75


def test_where_nothing_is_linked_only_the_ring_is_searched_row_by_row(tmp_path: Path) -> None:
    """Also after opening and after a new cloud model, when everybody asks at once."""
    spec = replace(SPEC, graph_nodes=SPEC.segment_rows)
    with Pool.open(tmp_path, spec) as pool:
        pool.upsert(samples(range(1000, 4000), seed=3))
    with Pool.open(tmp_path) as pool:
        assert pool.memory.ring == spec.ring_rows
        pool.reencode(lambda block: reencoded(block, ModelId("", 2)))
        assert pool.memory.ring == spec.ring_rows and len(pool) == 3000


@pytest.mark.parametrize("graph_nodes", [SPEC.graph_nodes, SPEC.segment_rows], ids=["linked", "never linked"])
def test_a_rebuild_says_how_far_it_is(tmp_path: Path, graph_nodes: int) -> None:
    seen: list[tuple[int, int]] = []
    with Pool.open(tmp_path, replace(SPEC, graph_nodes=graph_nodes)) as pool:
        pool.upsert(samples(range(1000, 4000), seed=3))
        pool.rebuild(lambda done, total: seen.append((done, total)))
        assert pool.memory.ring == SPEC.ring_rows
    assert seen == sorted(seen) and seen[-1] == (2900, 2900)


@pytest.mark.parametrize("graph_nodes", [150, SPEC.segment_rows], ids=["some linked", "never linked"])
def test_queries_between_upserts_find_what_they_would_find_after_a_restart(tmp_path: Path, graph_nodes: int) -> None:
    spec = replace(SPEC, graph_nodes=graph_nodes, segment_rows=400, window_count=1500)
    labels = (np.random.default_rng(4).random(5000) < 0.1).astype(int).tolist()
    block = samples(range(1, 5001), match_key=random_keys(5000, 1), users=[*range(1, 51)] * 100, labels=labels)
    asked = random_keys(3, 7), np.array([1, 2, 9], np.uint64), np.full(3, 10**5), 40
    with Pool.open(tmp_path, spec) as pool:
        for at in range(0, 5000, 50):
            pool.upsert(block.take(slice(at, at + 50)))
            found = pool.search(*asked)
            assert recall_of(found.score, pool.search_exactly(*asked).score) > 0.99
        effort = pool.memory.effort
        assert bool(effort.fetches) != spec.never_linked and effort.exact <= 0.2 * effort.fetches
        items = [candidates.item.tolist() for candidates in pool.candidates(found)]
    with Pool.open(tmp_path) as pool:
        again = pool.search(*asked)
        if spec.never_linked:
            assert again.score.tolist() == found.score.tolist()
            assert [candidates.item.tolist() for candidates in pool.candidates(again)] == items
