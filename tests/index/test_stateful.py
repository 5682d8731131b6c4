"""The pool against the oracle, over random lives: out of order, duplicates, restarts, new models, rebuilds."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from index.exact import ExactPool
from index.pool import Pool
from index.spec import PoolSpec
from index.verify import verify
from models.sample import SampleBlock
from tests.index.pools import small
from tests.index.samples import random_keys, reencoded, samples
from wire.arrays import F32
from wire.identity import ModelId


class SlicedPool(Pool):
    slice_rows = 9


KEYS = random_keys(12, 99)  # few distinct vectors: many ties


class PoolLife(RuleBasedStateMachine):
    """Whatever happens, both pools hold the same samples and find equally good ones."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.now = 1000
        self.next_key = 1
        self.timestamp_of: dict[int, int] = {}  # a sample key names one sample

    def teardown(self) -> None:
        self.pool.close()
        shutil.rmtree(self.folder)

    @initialize(count=st.integers(5, 60), age=st.integers(20, 300), segment=st.integers(4, 12), ring=st.integers(1, 6))
    def open(self, count: int, age: int, segment: int, ring: int) -> None:
        self.spec: PoolSpec = small(count, age, segment_rows=segment, ring_rows=ring)
        self.pool = SlicedPool.open(self.folder / "pool", self.spec)
        self.oracle = ExactPool(self.spec)
        self.lineage = self.begun = 0  # of models; each is number 1 of its own lineage

    @rule(data=st.data())
    def upsert_much(self, data: st.DataObject) -> None:
        for _ in range(4):
            self.upsert(data.draw(st.lists(st.integers(-60, 20), min_size=10, max_size=25)), data)

    @rule(steps=st.lists(st.integers(-200, 40), min_size=1, max_size=25), data=st.data())
    def upsert(self, steps: list[int], data: st.DataObject) -> None:
        timestamps = []
        for step in steps:
            self.now = max(self.now, self.now + step)
            timestamps.append(self.now + min(step, 0))
        known = st.integers(max(1, self.next_key - 30), self.next_key + len(steps))
        keys = [self.next_key + i for i in range(len(steps))]
        if data.draw(st.booleans(), "repeat"):
            keys = [data.draw(known) if i % 3 == 0 else key for i, key in enumerate(keys)]
        self.next_key += len(steps)
        timestamps = [self.timestamp_of.setdefault(k, t) for k, t in zip(keys, timestamps, strict=True)]
        self.now = max(self.now, *timestamps)
        vectors = (
            KEYS[np.array(keys) % len(KEYS)] if data.draw(st.booleans(), "ties") else random_keys(len(keys), keys[0])
        )
        block = samples(timestamps, keys=keys, seed=keys[0], match_key=vectors, lineage=f"{self.lineage:016x}")
        mine, theirs = self.pool.upsert(block), self.oracle.upsert(block)
        for name in ("inserted", "duplicate", "late"):
            assert getattr(mine, name).tolist() == getattr(theirs, name).tolist(), name

    @rule()
    def reopen(self) -> None:
        self.pool.close()
        self.pool = SlicedPool.open(self.folder / "pool", self.spec)

    @rule()
    def rebuild(self) -> None:
        self.pool.rebuild()

    def encode(self, block: SampleBlock) -> SampleBlock:
        encoded, some = reencoded(block, ModelId(f"{self.begun:016x}", 1)), block.sample[:, None] % 2 == 0
        ties = KEYS[(block.sample + np.uint64(self.begun)) % len(KEYS)]
        keys: F32 = np.where(some, ties, encoded.match_key)  # type: ignore[assignment]
        return replace(encoded, match_key=keys)

    @rule()
    def reencode(self) -> None:
        self.begun += 1
        self.pool.reencode(self.encode)
        self.switched()

    @rule()
    def begin_shadow(self) -> None:
        self.begun += 1
        self.pool.begin_shadow(self.encode)

    @precondition(lambda self: self.pool.in_shadow)
    @rule(steps=st.integers(1, 4))
    def shadow_steps(self, steps: int) -> None:
        if any(self.pool.step_shadow() for _ in range(steps)):
            self.switched()

    def switched(self) -> None:
        self.lineage = self.begun
        self.oracle.reencode(self.encode)

    @rule(user=st.integers(1, 7), back=st.integers(-5, 100), k=st.integers(1, 60), seed=st.integers(0, 3))
    def search(self, user: int, back: int, k: int, seed: int) -> None:
        users, before = np.array([user, 6], np.uint64), np.array([self.now - back, self.now + 1])
        keys: F32 = np.concatenate([KEYS[:1], random_keys(1, seed)])
        for mine, theirs in (
            (self.pool.search(keys, users, before, k), self.oracle.search(keys, users, before, k)),
            (self.pool.sample_random(users, before, k, seed), self.oracle.sample_random(users, before, k, seed)),
        ):
            np.testing.assert_allclose(mine.score, theirs.score, rtol=1e-6, atol=1e-5)
        drawn, expected = self.pool.candidates(mine), self.oracle.candidates(theirs)
        assert [c.item.tolist() for c in drawn] == [c.item.tolist() for c in expected]

    @invariant()
    def same_window(self) -> None:
        window = self.oracle.window()
        rows = self.pool.memory.table.at(self.pool.memory.window())
        assert self.pool.memory.table.sample[rows].tolist() == ([] if window is None else window.sample.tolist())
        assert len(self.pool) == len(self.oracle)

    @invariant()
    def disk_and_memory_agree(self) -> None:
        assert verify(self.pool, queries=1, k=3, seed=0).consistent


PoolLife.TestCase.settings = settings(
    max_examples=18, stateful_step_count=15, suppress_health_check=list(HealthCheck), derandomize=True
)
TestPoolLife = PoolLife.TestCase
