"""The oracle: a pool that keeps everything in one block, compares everything, and is too simple to be wrong.

Same promises as `index.pool.Pool`, no disk, no graphs; slow.
"""

from collections.abc import Callable

import numpy as np

from index.fetched import NO_ROW
from index.hash_sampling import points
from index.matches import LABELS, Matches
from index.pool import Upserted, time_slack_ms
from index.scored import NONE, Scored
from index.shadow import Encode
from index.spec import PoolSpec
from index.vectors import check_block, check_vectors
from index.window import EVERYTHING, Floor, age_floor
from models.quorum import Quorum
from models.sample import SampleBlock
from wire.arrays import F32, F64, I64, U64
from wire.candidates import Candidates
from wire.errors import PoolError
from wire.identity import NO_MODEL, ModelId
from wire.ids import mix


class ExactPool:
    """A pool in memory, for tests and for windows of a few thousand samples."""

    def __init__(self, spec: PoolSpec) -> None:
        self.spec = spec
        self._block: SampleBlock | None = None  # the window, oldest first
        self._floor = EVERYTHING
        self._time = Quorum(time_slack_ms(spec))

    def __len__(self) -> int:
        return 0 if self._block is None else len(self._block)

    @property
    def model(self) -> ModelId:
        """The cloud model of its vectors."""
        return NO_MODEL if self._block is None else self._block.model

    def upsert(self, block: SampleBlock) -> Upserted:
        """Add encoded samples, one after the other."""
        check_block(block, self.spec)
        if len(self) and len(block) and block.model != self.model:
            raise PoolError(f"samples encoded by {block.model} cannot join a pool of {self.model}")
        n, known = len(block), set() if self._block is None else set(self._block.sample.tolist())
        inserted, duplicate, late = (np.zeros(n, np.bool_) for _ in range(3))
        for row, (timestamp, sample) in enumerate(zip(block.timestamp.tolist(), block.sample.tolist(), strict=True)):
            again, left = sample in known, (timestamp, sample) <= self._floor
            if not again and not left:
                self._time.claim(int(block.user[row]), timestamp)
            late[row] = left or timestamp <= self._time.now - self.spec.window_age_ms
            duplicate[row] = not late[row] and again
            inserted[row] = not late[row] and not again
            known.add(sample)
        if inserted.any():
            new = block.take(np.flatnonzero(inserted))
            self._keep(new if self._block is None else SampleBlock.concat([self._block, new]))
        return Upserted(inserted, duplicate, late)

    def search(self, match_keys: F32, user: U64, before_ms: I64, k_per_label: int) -> Matches:
        """The most similar samples for each query."""
        check_vectors(match_keys, self.spec.key_dim, "query")
        return self._best(user, before_ms, k_per_label, lambda query, rows: self._similarity(match_keys[query], rows))

    def sample_random(self, user: U64, before_ms: I64, k_per_label: int, seed: int) -> Matches:
        """Random samples for each query."""
        drawn = points(user, before_ms, seed).tolist()
        return self._best(user, before_ms, k_per_label, lambda query, rows: self._closeness(drawn[query], rows))

    def candidates(self, matches: Matches) -> list[Candidates]:
        """What each query found."""
        return [scored.candidates for scored in self.scored(matches)]

    def scored(self, matches: Matches) -> list[Scored]:
        """What each query found, with scores."""
        return [self._scored(matches, query) for query in range(len(matches))]

    def reencode(self, encode: Encode) -> None:
        """Encode all samples anew."""
        if self._block is not None:
            self._block = encode(self._block)
            check_block(self._block, self.spec)

    def window(self) -> SampleBlock | None:
        """All samples, oldest first."""
        return self._block

    def _keep(self, block: SampleBlock) -> None:
        order = sorted(range(len(block)), key=lambda row: (block.timestamp[row], block.sample[row]))
        young = [row for row in order if block.timestamp[row] > self._time.now - self.spec.window_age_ms]
        kept = young[-self.spec.window_count :]
        gone = order[: len(order) - len(kept)]
        if gone:
            last = Floor(int(block.timestamp[gone[-1]]), int(block.sample[gone[-1]]))
            self._floor = max(self._floor, last)
        self._floor = max(self._floor, age_floor(self._time.now, self.spec.window_age_ms))
        self._block = block.take(np.array(kept))

    def _best(self, user: U64, before_ms: I64, k: int, score_of: Callable[[int, I64], F64]) -> Matches:
        row = np.full((len(user), len(LABELS), k), NO_ROW, np.int64)
        score = np.full(row.shape, -np.inf)
        for query in range(len(user)) if self._block is not None else ():
            for label in LABELS:
                allowed = self._allowed(int(user[query]), int(before_ms[query]), label)
                scores = score_of(query, allowed)
                best = np.argsort(-scores, kind="stable")[:k]
                row[query, label, : len(best)], score[query, label, : len(best)] = allowed[best], scores[best]
        return Matches(row, score, before_ms)

    def _allowed(self, user: int, before_ms: int, label: int) -> I64:
        assert self._block is not None
        b = self._block
        inside = (b.timestamp < before_ms) & (b.timestamp > before_ms - self.spec.window_age_ms)
        return np.flatnonzero(inside & (b.user != np.uint64(user)) & (b.label == label))

    def _similarity(self, key: F32, rows: I64) -> F64:
        assert self._block is not None and self._block.match_key is not None
        return self._block.match_key[rows].astype(np.float64) @ key.astype(np.float64)

    def _closeness(self, point: int, rows: I64) -> F64:
        assert self._block is not None
        return np.array([-float((hashed - point) % 2**64) for hashed in mix(self._block.sample[rows]).tolist()])

    def _scored(self, matches: Matches, query: int) -> Scored:
        found = matches.row[query] != NO_ROW
        score = matches.score[query][found]
        if self._block is None:
            return NONE
        b = self._block.take(matches.row[query][found])
        assert b.logit is not None, "what was upserted is encoded"
        age_s = ((matches.before_ms[query] - b.timestamp) // 1000).astype(np.uint32)
        told = Candidates(b.logit.astype(np.float16), b.item, b.category, b.label, b.times, age_s)
        return Scored.of(told, score)
