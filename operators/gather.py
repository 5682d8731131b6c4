"""Gather: the partial answers of all pool shards become one candidate batch, of one model version.

Shards switch to a new cloud model at their own pace, so the answers to one query may be of different versions.
Such answers never mix: the query waits, and shards answer their recent queries again when they have switched.
"""

import pickle
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic

from index.laid import laid_out
from index.scored import Scored, best_of
from monitor.metrics import Metrics
from wire.batch import PackedBatch, zipped
from wire.clock import Clock, after
from wire.identity import ModelId

# A change of models takes a shard some 6 s per 200,000 samples (`operators.shard`), and shards of one size, which begin
# within 2 s of each other, as long; a query whose shards still disagree after this is given up.
PATIENCE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One shard's answer to one query, encoded by cloud model `model`."""

    user_id: str
    seq: int
    before_ms: int
    produced_ms: int
    reason: str
    shard: int
    model: ModelId
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

    batches: list[tuple[str, PackedBatch]]
    given_up: Counter[str]


@dataclass(slots=True)
class Waiting:
    """A query that is not complete: since when (a clock that is never set), and each shard's newest answer."""

    since_ms: int
    answers: dict[int, Reply] = field(default_factory=dict)

    def complete(self, shards: int) -> bool:
        """Whether all shards have answered by one model version."""
        return len(self.answers) == shards and len({a.model for a in self.answers.values()}) == 1


class GatherState:
    """One user's unanswered queries; the newest complete one wins, and older ones are given up.

    Every query has an end: it is complete, an answer to a newer one came first (`superseded`), or `PATIENCE_MS` after
    its first answer some shards have not answered (`shards`) or not by one version (`versions`).
    """

    __slots__ = ("active_ms", "done_seq", "waiting")

    def __init__(self, steady_ms: int = 0) -> None:
        self.active_ms = steady_ms  # when an answer came last that was not to an older query
        self.done_seq = 0  # queries up to this one have ended
        self.waiting: dict[int, Waiting] = {}  # by seq

    def handle(self, replies: Sequence[Reply], merge: Merge, now_ms: int, steady_ms: int) -> Gathered:
        """Take answers; `now_ms` (wall clock) is when the search of a completed match was done.

        `steady_ms` is a clock that nobody sets, from any moment on: patience is measured by it.
        """
        batches, given_up = [], self._lose_patience(merge, steady_ms)
        for reply in replies:
            if reply.seq <= self.done_seq:
                continue
            self.active_ms = steady_ms
            query = self.waiting.setdefault(reply.seq, Waiting(steady_ms))
            query.answers[reply.shard] = reply
            if query.complete(merge.shards):
                batches.append((reply.reason, _batch([query.answers[s] for s in sorted(query.answers)], merge, now_ms)))
                given_up["superseded"] += len(self._end(reply.seq)) - 1  # the done one itself is no loss
        return Gathered(batches, +given_up)

    def finished(self, steady_ms: int) -> bool:
        """Whether the state may be forgotten: nothing waits, and no answer to an older query is on its way any more."""
        return not self.waiting and self.patience_ms(steady_ms) == 0

    def patience_ms(self, steady_ms: int) -> int:
        """How long from now until a query is given up or, when none waits, until no answer can come any more."""
        since_ms = min((query.since_ms for query in self.waiting.values()), default=self.active_ms + PATIENCE_MS)
        return max(0, since_ms + PATIENCE_MS - steady_ms)

    def snapshot(self) -> bytes:
        """The state, pickled at once: Bytewax may pickle what it is given only after the next answer."""
        answers = {seq: query.answers for seq, query in self.waiting.items()}
        return pickle.dumps((self.done_seq, answers), pickle.HIGHEST_PROTOCOL)

    @classmethod
    def restore(cls, raw: bytes, steady_ms: int) -> "GatherState":
        """The state that `snapshot` gave; what waited begins to wait anew."""
        state = cls(steady_ms)
        state.done_seq, answers = pickle.loads(raw)
        state.waiting = {seq: Waiting(steady_ms, each) for seq, each in answers.items()}
        return state

    def _lose_patience(self, merge: Merge, steady_ms: int) -> Counter[str]:
        late = [seq for seq, query in self.waiting.items() if query.since_ms + PATIENCE_MS <= steady_ms]
        ended = self._end(max(late)) if late else []
        return Counter("versions" if len(query.answers) == merge.shards else "shards" for query in ended)

    def _end(self, seq: int) -> list[Waiting]:
        """End all queries up to `seq`; which of them waited."""
        self.done_seq = seq
        return [self.waiting.pop(old) for old in sorted(self.waiting) if old <= seq]


def complete(reply: Reply, merge: Merge, now_ms: int) -> tuple[str, PackedBatch]:
    """The batch of the only shard, with what made it due."""
    return reply.reason, _batch([reply], merge, now_ms)


def _batch(answers: Sequence[Reply], merge: Merge, now_ms: int) -> PackedBatch:
    """One batch of complete answers. Scores mean the same in every shard, those of a random draw too."""
    first = answers[0]
    matched = _best([a.matched for a in answers], merge.per_label)
    random = _best([a.random for a in answers], merge.per_label)
    return PackedBatch(
        user_id=first.user_id,
        batch_seq=first.seq,
        model=first.model,
        query_timestamp=first.before_ms,
        produced_ms=first.produced_ms,
        matched_ms=now_ms,
        matched=len(matched),
        random=len(random),
        columns=zipped(laid_out(matched, random)),
    )


def _best(parts: Sequence[Scored], per_label: int) -> Scored:
    return parts[0] if len(parts) == 1 else best_of(parts, per_label)


class GatherLogic(StatefulBatchLogic[Reply, tuple[str, PackedBatch], bytes]):
    """`GatherState` in a dataflow; `state` is to be read by others."""

    def __init__(self, saved: bytes | None, merge: Merge, clock: Clock, metrics: Metrics) -> None:
        now_ms = clock.steady_ms()
        self.state = GatherState(now_ms) if saved is None else GatherState.restore(saved, now_ms)
        self._merge, self._clock, self._metrics = merge, clock, metrics

    def on_batch(self, values: list[Reply]) -> tuple[list[tuple[str, PackedBatch]], bool]:
        """Take answers for one user, and give up what waited too long."""
        steady_ms = self._clock.steady_ms()
        gathered = self.state.handle(values, self._merge, self._clock.wall_ms(), steady_ms)
        for reason, queries in gathered.given_up.items():
            self._metrics.matches_given_up.labels(reason).inc(queries)
        finished = self.state.finished(steady_ms)
        return gathered.batches, self.DISCARD if finished else self.RETAIN

    def on_notify(self) -> tuple[list[tuple[str, PackedBatch]], bool]:
        """Give up what waited too long."""
        return self.on_batch([])

    def notify_at(self) -> datetime | None:
        """When to lose patience, or to forget the user."""
        return after(self._clock, self.state.patience_ms(self._clock.steady_ms()))

    def snapshot(self) -> bytes:
        """The state, pickled."""
        return self.state.snapshot()


def gather_step(
    step_id: str,
    up: KeyedStream[Reply],
    merge: Merge,
    *,
    clock: Clock,
    metrics: Metrics,
) -> KeyedStream[tuple[str, PackedBatch]]:
    """`GatherState.handle` in a dataflow: complete batches with what made them due, keyed by user id.

    Of one shard every answer is complete, and nothing is kept.
    """
    if merge.shards == 1:
        return op.flat_map_batch(
            step_id, up, lambda replies: [(user, complete(reply, merge, clock.wall_ms())) for user, reply in replies]
        )
    return op.stateful_batch(step_id, up, lambda saved: GatherLogic(saved, merge, clock, metrics))
