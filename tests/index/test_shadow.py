"""A pool between two models: the old one answers until all is encoded by the new one, and then nothing tells how."""

import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index.compared import Compared
from index.nodes import Nodes
from index.pool import Pool
from index.shadow import Encode
from index.spec import PoolSpec
from index.verify import verify
from models.sample import SampleBlock
from tests.index.pools import small
from tests.index.samples import random_keys, reencoded, samples
from wire.errors import VectorError
from wire.identity import ModelId

LATER = np.full(3, 100_000)
NOBODY = np.full(3, 999, np.uint64)
SPECS = {
    "compared": small(window_count=90, graph_nodes=16),
    "graphs": small(window_count=90),
    "by age": small(window_age_ms=110, graph_nodes=16),
}


class SlicedPool(Pool):
    slice_rows = 7


def by(version: int) -> Encode:
    return lambda block: reencoded(block, ModelId("", version))


def finish(pool: Pool, between: Callable[[int], object] = lambda _: None) -> int:
    """Step until the next model is in use; the number of steps."""
    steps = 1
    while not pool.step_shadow():
        between(steps)
        steps += 1
    return steps


def answers(pool: Pool) -> list[list[bytes]]:
    keys = random_keys(3, 77)
    found = [pool.search(keys, NOBODY, LATER, 30), pool.sample_random(NOBODY, LATER, 30, 5)]
    return [
        [c.item.tobytes() + c.logit.tobytes() + c.times.tobytes() + c.age_s.tobytes() for c in pool.candidates(each)]
        for each in found
    ]


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_by_slices_with_comings_and_goings_or_at_once_is_the_same(tmp_path: Path, spec: PoolSpec) -> None:
    late_and_known = samples([101, 150, 172], keys=[900, 51, 73], seed=8)
    with SlicedPool.open(tmp_path / "sliced", spec) as sliced, Pool.open(tmp_path / "once", spec) as once:
        for pool in (sliced, once):
            pool.upsert(samples(range(100, 190), seed=1))

        def comes(step: int) -> None:
            first = 200 + 10 * step
            for pool in (sliced, once):
                pool.upsert(samples(range(first, first + 5), keys=range(first, first + 5), seed=step))
                assert not pool.upsert(late_and_known if step > 4 else late_and_known.take(slice(1, 3))).inserted.any()
            assert answers(sliced) == answers(once) and sliced.model.version == 1

        sliced.begin_shadow(by(2))
        assert finish(sliced, comes) == 90 // 7 + 2
        once.reencode(by(2))
        assert answers(sliced) == answers(once) and len(sliced) == len(once)
        assert sliced.model.version == 2 and verify(sliced, queries=10, k=5, seed=0).consistent
        for pool in (sliced, once):
            assert pool.upsert(samples(range(400, 440), keys=range(400, 440), seed=9, version=2)).inserted.all()
        assert answers(sliced) == answers(once)
        before = answers(sliced)
    with Pool.open(tmp_path / "sliced") as again:
        assert answers(again) == before


def encoded_by(pool: Pool) -> set[bytes]:
    """The models of which there are encodings on disk."""
    return {key[1:9] for key in pool.store._db.keys(from_key=b"v") if isinstance(key, bytes) and key[:1] == b"v"}


@pytest.mark.parametrize("steps", [0, 1, 9])
def test_killed_in_between_it_opens_with_the_old_model(tmp_path: Path, steps: int) -> None:
    with SlicedPool.open(tmp_path / "pool", small()) as pool:
        pool.upsert(samples(range(100, 160)))
        pool.begin_shadow(by(2))
        for _ in range(steps):
            assert not pool.step_shadow()
        pool.upsert(samples(range(300, 305), keys=range(300, 305), seed=2))
        before = answers(pool)
    with SlicedPool.open(tmp_path / "pool") as pool:
        assert pool.model.version == 1 and not pool.in_shadow and answers(pool) == before
        assert len(encoded_by(pool)) == 1 and verify(pool, queries=10, k=5, seed=0).consistent
        pool.reencode(by(2))
        assert pool.model.version == 2 and len(pool) == 65


def test_a_newer_model_takes_the_place_of_one_that_is_under_way(tmp_path: Path) -> None:
    with SlicedPool.open(tmp_path / "pool", small()) as pool, Pool.open(tmp_path / "once", small()) as once:
        for each in (pool, once):
            each.upsert(samples(range(100, 160)))
        pool.begin_shadow(by(2))
        pool.step_shadow()
        pool.begin_shadow(by(3))
        assert len(encoded_by(pool)) == 1
        finish(pool)
        once.reencode(by(3))
        assert pool.model.version == 3 and answers(pool) == answers(once) and len(encoded_by(pool)) == 1


def test_a_model_that_fails_on_the_way_changes_nothing(tmp_path: Path) -> None:
    def broken(block: SampleBlock) -> SampleBlock:
        block = by(2)(block)
        assert block.match_key is not None
        keys = np.where(block.sample[:, None] == 30, np.float32("nan"), block.match_key)
        return replace(block, match_key=keys)

    with SlicedPool.open(tmp_path / "pool", small()) as pool:
        pool.upsert(samples(range(100, 160)))
        before = answers(pool)
        pool.begin_shadow(broken)
        with pytest.raises(VectorError):
            finish(pool)
        assert not pool.in_shadow and pool.model.version == 1 and answers(pool) == before
        assert len(encoded_by(pool)) == 1


def test_an_empty_pool_is_through_at_once_and_what_comes_later_is_of_the_next_model(tmp_path: Path) -> None:
    with Pool.open(tmp_path / "pool", small()) as pool:
        pool.begin_shadow(by(2))
        assert pool.step_shadow() and not pool.in_shadow
        assert pool.upsert(samples([100], version=2)).inserted.all()
        assert pool.model.version == 2


def test_the_first_sample_of_a_pool_may_come_between_two_models(tmp_path: Path) -> None:
    with Pool.open(tmp_path / "pool", small()) as pool:
        pool.begin_shadow(by(2))
        pool.upsert(samples([100]))
        assert pool.model.version == 1
        finish(pool)
        assert pool.model.version == 2 and len(pool) == 1 and verify(pool, queries=1, k=1, seed=0).consistent


def test_a_step_encodes_a_slice_and_no_more(tmp_path: Path) -> None:
    encoded: list[int] = []

    def noted(block: SampleBlock) -> SampleBlock:
        encoded.append(len(block))
        return by(2)(block)

    with SlicedPool.open(tmp_path / "pool", small()) as pool:
        pool.upsert(samples(range(100, 160)))
        pool.begin_shadow(noted)
        finish(pool)
        assert max(encoded) == pool.slice_rows and sum(encoded) == 60


def test_nobody_waits_for_all_of_the_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compared changes in small steps while a pool turns over and changes models; no search has to wait."""
    changed: list[int] = []
    put = Compared._put

    def noted(self: Compared, first: int, last: int, nodes: Nodes) -> None:
        changed.append(len(nodes))
        put(self, first, last, nodes)

    def most(act: Callable[[], object]) -> int:
        changed.clear()
        act()
        return sum(changed)

    monkeypatch.setattr(Compared, "_put", noted)
    spec = small(window_count=400, segment_rows=32, graph_nodes=32)
    at_most = spec.segment_rows + SlicedPool.slice_rows
    with SlicedPool.open(tmp_path / "pool", spec) as pool:

        def comes(first: int, version: int = 1) -> None:
            block = samples(range(first, first + 5), keys=range(first, first + 5), seed=first, version=version)
            assert most(lambda: pool.upsert(block)) <= at_most
            assert most(lambda: pool.search(random_keys(3, 1), NOBODY, LATER, 5)) == 0

        for first in range(1, 1001, 5):
            comes(first)
        old = weakref.ref(pool.memory)
        pool.begin_shadow(by(2))
        while pool.in_shadow:
            assert most(pool.step_shadow) <= at_most
        assert old() is None, "a pool that was left lies about"
        for first in range(1001, 1401, 5):
            comes(first, 2)
        looked_at = sum(len(compared.rows) for compared in pool.memory._compared.values())
        assert looked_at <= 1.25 * len(pool) + spec.segment_rows + 2 * spec.ring_rows
