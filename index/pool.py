"""The pool of one shard: RocksDB is the truth (`index.store`), the window in memory answers (`index.memory`)."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from index.database import looked
from index.matches import Limits, Matches
from index.memory import Memory, get_ready
from index.owner import Owner
from index.scored import Scored
from index.shadow import SLICE_ROWS, Encode, Shadow
from index.spec import PoolSpec
from index.store import State, Store
from index.vectors import check_block, check_vectors
from index.window import above, age_floor, nth_oldest
from models.quorum import Quorum
from models.sample import SampleBlock
from wire.arrays import F32, I64, U64, Bool
from wire.candidates import Candidates
from wire.errors import PoolError
from wire.identity import ModelId
from wire.moments import EventMs

EVICT_SHARE = 16  # space on disk is freed when 1/16 of the window has left
CATCH_UP = 2  # rows linked per new row while the ring is too long (graphs, after opening or re-encoding)

REPORT_ROWS = 5_000  # a rebuild reports progress every so many rows: several times a second
Progress = Callable[[int, int], None]  # rows done, rows in all


def time_slack_ms(spec: PoolSpec) -> int:
    """How far a pool's event time may lag: .1 % of its window; searches look at each sample's own age."""
    return spec.window_age_ms // 1024


def moments(time: Quorum, block: SampleBlock, silent: Bool) -> I64:
    """How far time has come (n,) as n samples come, one after the other; the `silent` ones say nothing of it."""
    rows = zip(block.user.tolist(), block.timestamp.tolist(), silent.tolist(), strict=True)
    return np.array([time.now if passed else time.claim(user, moment) for user, moment, passed in rows], np.int64)


@dataclass(frozen=True, slots=True)
class Upserted:
    """What became of n samples: each is `inserted`, a `duplicate` or `late` (older than the window)."""

    inserted: Bool  # (n,)
    duplicate: Bool
    late: Bool

    def refused(self) -> dict[str, int]:
        """How many were not inserted, by reason."""
        return {"duplicate": int(self.duplicate.sum()), "late": int(self.late.sum())}


class Pool:
    """One shard of the pool on disk; open it with `Pool.open`, use it from one thread.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Pool.open(folder, PoolSpec(window_count=1000)) as pool:
    ...     len(pool)
    0
    """

    slice_rows = SLICE_ROWS  # of a new model's work, in one step

    def __init__(self, store: Store) -> None:
        self.store = store
        self._shadow: Shadow | None = None
        self._evicted = 0  # rows since space on disk was last freed
        self._load()

    @classmethod
    def open(cls, path: str | Path, spec: PoolSpec | None = None, read_only: bool = False) -> Self:
        """The pool at `path`, made when it is new. Without `spec`, as it was last opened.

        `read_only` looks at a pool that another process may be writing, as it is now. Where segments are so large
        that graphs have to be linked, that is done by `rebuild`, or as new rows come; until then they are searched
        exactly. Raises `PoolError`.
        """
        if read_only:
            return looked(lambda: cls._opened(Store.open(Path(path), spec, read_only=True)))
        return cls._opened(Store.open(Path(path), spec))

    @classmethod
    def _opened(cls, store: Store) -> Self:
        try:
            get_ready(store.spec.key_dim)
            return cls(store)
        except BaseException:
            store.close()
            raise

    def expect(self, writes: int) -> None:
        """Raise `PoolError` when the pool is older than at a `sync` that returned so many writes."""
        if self.store.writes < writes:
            raise PoolError(
                f"pool {self.store.path} has lost what it held when the flow's --state was saved "
                f"(write {self.store.writes:,} of {writes:,}): delete that state, to fill it again with what Kafka "
                "still has"
            )

    def work_for(self, owner: Owner, writes: int) -> None:
        """Note whose the pool is, and `expect` of it what that one saved.

        A new state may go on with the pool of one that was deleted, but no shard with that of another. Raises
        `PoolError`.
        """
        known = self.store.owner or owner
        if not writes:
            known = msgspec.structs.replace(known, state=owner.state)
        if difference := owner.difference(known):
            raise PoolError(
                f"pool {self.store.path} {difference}: put each folder back where it was, or delete it and the flow's "
                "--state, to fill it again with what Kafka still has"
            )
        self.expect(writes)
        if self.store.owner != owner:
            self.store.own(owner)

    def sync(self) -> int:
        """See to it that a power cut takes nothing of what was upserted; returns what to `expect` of the pool."""
        return self.store.sync()

    def close(self) -> None:
        """Close the pool; nothing is lost without it."""
        self._shadow = None  # it reads a database that stays open as long
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def now(self) -> EventMs:
        """How far event time has come, by the users whose samples came here."""
        return self._time.now

    def __len__(self) -> int:
        return self.memory.live

    @property
    def spec(self) -> PoolSpec:
        """The settings in force."""
        return self.store.spec

    @property
    def model(self) -> ModelId:
        """The cloud model whose vectors the pool holds; `NO_MODEL` before the first sample."""
        return self.store.state.model

    def upsert(self, block: SampleBlock) -> Upserted:
        """Add encoded samples; those it has, and those out of the window, are refused.

        Safe from `kill -9` when this returns, from a power cut after `sync`. Raises `VectorError`, naming the row, when
        a vector is not finite or has the wrong width, and `PoolError` for vectors of another model; then nothing has
        been written.
        """
        check_block(block, self.spec)
        self._check_model(block)
        result = self._judge(block)
        if result.inserted.any():
            self._insert(block.where(result.inserted))
        return result

    def search(self, match_keys: F32, user: U64, before_ms: I64, k_per_label: int) -> Matches:
        """The most similar samples for q queries (q, key_dim): up to `k_per_label` of each label.

        Never the asker's own, never at or after `before_ms` (event time), never out of the window.
        """
        check_vectors(match_keys, self.spec.key_dim, "query")
        return self.memory.nearest(match_keys, Limits(user, before_ms), k_per_label)

    def search_exactly(self, match_keys: F32, user: U64, before_ms: I64, k_per_label: int) -> Matches:
        """What `search` should find, by comparing every row."""
        check_vectors(match_keys, self.spec.key_dim, "query")
        return self.memory.exact(match_keys, Limits(user, before_ms), k_per_label)

    def sample_random(self, user: U64, before_ms: I64, k_per_label: int, seed: int) -> Matches:
        """Random samples under the same limits; the same asker, time and seed draw the same ones."""
        return self.memory.random(Limits(user, before_ms), k_per_label, seed)

    def candidates(self, matches: Matches) -> list[Candidates]:
        """What each query found, label 0 first; call before the next upsert."""
        return [scored.candidates for scored in self.scored(matches)]

    def scored(self, matches: Matches) -> list[Scored]:
        """The same with scores, for `index.scored.best_of` to merge shards."""
        rows, end = self.memory.table.told(matches)
        return [Scored(rows[start:stop]) for start, stop in pairwise([0, *end.tolist()])]

    def reencode(self, encode: Encode) -> None:
        """Encode all samples anew (a new cloud model), here and now: `encode` gives blocks with its vectors."""
        self.begin_shadow(encode)
        while not self.step_shadow():
            pass

    def begin_shadow(self, encode: Encode) -> None:
        """Begin to encode all samples anew, beside what answers; a shadow that was begun before is given up."""
        self._drop_shadow()
        self._shadow = Shadow(self.store, encode, self.slice_rows)

    def step_shadow(self) -> bool:
        """Encode `slice_rows` of the samples by the next model; True once that was all, and it is the model in use.

        Atomic on disk. Graphs, where there are any, fill again as samples come in; until then more is searched exactly.
        Raises `VectorError` when the model gives bad vectors; then all is as before `begin_shadow`.
        """
        shadow = self._shadow
        assert shadow is not None, "begin one first"
        try:
            if shadow.step():
                return False
        except BaseException:
            self._drop_shadow()
            raise
        self.store.adopt(msgspec.structs.replace(self.store.state, model=shadow.model))
        shadow.memory.expire(self.store.state.floor)
        self.memory, self._shadow = shadow.memory, None
        return True

    @property
    def in_shadow(self) -> bool:
        """Whether samples are being encoded by a next model."""
        return self._shadow is not None

    def rebuild(self, progress: Progress = lambda _done, _all: None) -> None:
        """Read everything from disk again and put all rows but the ring's into segments and their graphs now.

        Reports (rows done, rows in all), at least once.
        """
        self._load()
        memory, rows = self.memory, self.memory.table.end - self.memory.table.first
        total = max(0, rows - self.spec.ring_rows)
        while True:
            memory.link()
            done = rows - memory.ring
            progress(done, total)
            if done >= total:
                return
            memory.index(min(REPORT_ROWS, total - done))

    def _drop_shadow(self) -> None:
        shadow, self._shadow = self._shadow, None
        if shadow is not None and shadow.model != self.model:
            self.store.drop_encoded(shadow.model)

    def _load(self) -> None:
        self.memory = Memory(self.spec)
        self._time = Quorum.restore(self.store.state.time, time_slack_ms(self.spec))
        for block in self.store.read():
            self.memory.append(block)
            self.memory.leave_ring()
            self.memory.tidy()
        state = self._after(None)
        if state != self.store.state:  # the window's settings changed
            self.store.adopt(state)
            self._expire(state)

    def _check_model(self, block: SampleBlock) -> None:
        if len(self) and len(block) and block.model != self.model:
            raise PoolError(
                f"samples encoded by {block.model} cannot join a pool of {self.model}: re-encode the pool first"
            )

    def _judge(self, block: SampleBlock) -> Upserted:
        """Each sample is judged by how far time has come when it is there."""
        known = self.memory.has(block.sample)
        if len(set(block.sample.tolist())) < len(block):  # some come twice
            first = np.unique(block.sample, return_index=True)[1]
            known |= ~np.isin(np.arange(len(block)), first)
        late = ~above(block.timestamp, block.sample, self.store.state.floor)
        # Whether what has left is still known depends on restarts; so what is late already never says what time it is.
        now = moments(self._time, block, known | late)
        late |= block.timestamp <= now - self.spec.window_age_ms
        duplicate = ~late & known
        return Upserted(~late & ~duplicate, duplicate, late)

    def _insert(self, fresh: SampleBlock) -> None:
        state = self._after(fresh)
        stay = fresh.where(above(fresh.timestamp, fresh.sample, state.floor))
        self.store.write(stay, state)
        self.memory.append(stay)
        if self._shadow is not None and len(stay):
            self._shadow.add(stay)
        self._expire(state)
        if not self.spec.never_linked:
            self.memory.index(min(self.memory.ring - self.spec.ring_rows, CATCH_UP * len(fresh)))
            return
        if self.memory.ring >= 2 * self.spec.ring_rows:  # many at once are put in order for little more than one
            self.memory.leave_ring()
        self.memory.tidy()

    def _after(self, fresh: SampleBlock | None) -> State:
        """The state once `fresh` has come: age and then count raise the floor."""
        state, memory = self.store.state, self.memory
        timestamp = np.zeros(0, np.int64) if fresh is None else fresh.timestamp
        sample = np.zeros(0, np.uint64) if fresh is None else fresh.sample
        model = state.model if fresh is None else fresh.model
        floor = max(state.floor, age_floor(self._time.now, self.spec.window_age_ms))
        stays = above(timestamp, sample, floor)
        live = memory.live - memory.count_up_to(floor) + int(stays.sum())
        excess = live - self.spec.window_count
        if excess > 0:
            old_timestamp, old_sample = self.store.oldest(floor, excess)
            floor = nth_oldest(
                np.concatenate([old_timestamp, timestamp[stays]]), np.concatenate([old_sample, sample[stays]]), excess
            )
        return State(model, self._time.state(), floor, min(live, self.spec.window_count))

    def _expire(self, state: State) -> None:
        self._evicted += self.memory.expire(state.floor)
        if self._evicted * EVICT_SHARE > self.spec.window_count:
            self.store.evict()
            self._evicted = 0
