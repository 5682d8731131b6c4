"""Gather: the partial answers of all pool shards become one candidate batch, of one model version.

Shards switch to a new cloud model at their own pace, so the answers to one query may be of different versions.
Such answers never mix: the query waits, and shards answer their recent queries again when they have switched.
"""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import bytewax.operators as op
import numpy as np
from bytewax.operators import KeyedStream, StatefulBatchLogic

from index.matches import Scored, best_of
from monitor import metrics
from wire.candidates import CandidateBatch

# Re-encoding 200,000 samples takes about 20 s; a query whose shards still disagree after this is given up (ours).
PATIENCE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Reply:
    """One shard's answer to one query, encoded by cloud model `version`."""

    user_id: str
    seq: int
    before_ms: int
    produced_ms: int
    reason: str
    shard: int
    version: int
    matched: Scored
    random: Scored


@dataclass(frozen=True, slots=True)
class Merge:
    """How answers are merged: of how many `shards`, and `per_label` candidates of each label."""

    shards: int
    per_label: int


@dataclass(frozen=True, slots=True)
class Gathered:
    """What gathering gave: complete batches with what made them due, and how many queries were given up, by reason."""

    batches: list[tuple[str, CandidateBatch]]
    superseded: int = 0


class GatherState:
    """One user's unanswered queries; the newest complete one wins, and older ones are given up."""

    __slots__ = ("done_seq", "waiting")

    def __init__(self) -> None:
        self.done_seq = 0
        self.waiting: dict[int, dict[int, Reply]] = {}  # seq -> shard -> its newest answer

    def handle(self, replies: Sequence[Reply], merge: Merge, now_ms: int) -> Gathered:
        """Take answers; `now_ms` (wall clock) is when the search of a completed match was done."""
        batches, superseded = [], 0
        for reply in replies:
            if reply.seq <= self.done_seq:
                continue
            answers = self.waiting.setdefault(reply.seq, {})
            answers[reply.shard] = reply
            if len(answers) == merge.shards and len({a.version for a in answers.values()}) == 1:
                batches.append((reply.reason, _batch([answers[s] for s in sorted(answers)], merge, now_ms)))
                self.done_seq = reply.seq
                superseded += self._forget_older()
        return Gathered(batches, superseded)

    def give_up(self, before_seq: int) -> int:
        """Forget queries older than `before_seq`, whose shards never agreed on a version; how many."""
        old = [seq for seq in self.waiting if seq < before_seq]
        for seq in old:
            del self.waiting[seq]
        return len(old)

    def snapshot(self) -> bytes:
        """The state, pickled at once: Bytewax may pickle what it is given only after the next answer."""
        return pickle.dumps((self.done_seq, self.waiting), pickle.HIGHEST_PROTOCOL)

    @classmethod
    def restore(cls, raw: bytes) -> "GatherState":
        """The state that `snapshot` gave."""
        state = cls()
        state.done_seq, state.waiting = pickle.loads(raw)
        return state

    def _forget_older(self) -> int:
        return self.give_up(self.done_seq + 1) - 1  # the done one itself is no loss


def _batch(answers: Sequence[Reply], merge: Merge, now_ms: int) -> CandidateBatch:
    """One batch of complete answers. Scores mean the same in every shard, those of a random draw too."""
    first = answers[0]
    matched = _best([a.matched for a in answers], merge.per_label)
    return CandidateBatch(
        user_id=first.user_id,
        batch_seq=first.seq,
        version=first.version,
        query_timestamp=first.before_ms,
        produced_ms=first.produced_ms,
        matched_ms=now_ms,
        matched=matched.candidates,
        similarity=matched.score.astype(np.float16),
        random=_best([a.random for a in answers], merge.per_label).candidates,
    )


def _best(parts: Sequence[Scored], per_label: int) -> Scored:
    return parts[0] if len(parts) == 1 else best_of(parts, per_label)


class GatherLogic(StatefulBatchLogic[Reply, tuple[str, CandidateBatch], bytes]):
    """`GatherState` in a dataflow."""

    def __init__(self, saved: bytes | None, merge: Merge, clock_ms: Callable[[], int]) -> None:
        self._state = GatherState() if saved is None else GatherState.restore(saved)
        self._merge = merge
        self._clock_ms = clock_ms

    def on_batch(self, values: list[Reply]) -> tuple[list[tuple[str, CandidateBatch]], bool]:
        """Take answers for one user."""
        gathered = self._state.handle(values, self._merge, self._clock_ms())
        if gathered.superseded:
            metrics.matches_given_up.labels("superseded").inc(gathered.superseded)
        return gathered.batches, self.RETAIN

    def on_notify(self) -> tuple[list[tuple[str, CandidateBatch]], bool]:
        """Give up what waited too long; a query's seq is at least the wall clock when it was asked."""
        metrics.matches_given_up.labels("versions").inc(self._state.give_up(self._clock_ms() - PATIENCE_MS))
        return [], self.RETAIN

    def notify_at(self) -> datetime | None:
        """When to lose patience, if anything waits."""
        return datetime.now(UTC) + timedelta(milliseconds=PATIENCE_MS) if self._state.waiting else None

    def snapshot(self) -> bytes:
        """The state, pickled."""
        return self._state.snapshot()


def gather_step(
    step_id: str, up: KeyedStream[Reply], merge: Merge, clock_ms: Callable[[], int]
) -> KeyedStream[tuple[str, CandidateBatch]]:
    """`GatherState.handle` in a dataflow: complete batches with what made them due, keyed by user id."""
    return op.stateful_batch(step_id, up, lambda saved: GatherLogic(saved, merge, clock_ms))
