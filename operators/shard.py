"""A pool shard's step: take in its users' samples, then answer everybody's queries from what it holds.

The pool is no Bytewax state: it is on disk, and its writes are idempotent by sample. At the end of an epoch it is
synced, before Bytewax notes that what the epoch read needs not be read again. Samples are encoded here and
not on the worker of their user, because only here is it certain which model the pool is at.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import NamedTuple

import bytewax.operators as op
import msgspec
import numpy as np
from bytewax.operators import KeyedStream, StatefulBatchLogic

from index.matcher import Nearest, Random
from index.matches import Scored
from index.pool import Pool
from models.cloud_model import CloudModel
from models.sample import SampleBlock
from operators.encode import encode
from operators.gather import Reply
from operators.placement import shard_key
from operators.user import Query, UserOutput
from wire.arrays import F32, I64
from wire.candidates import no_candidates
from wire.clock import Clock, after
from wire.dead_letter import DeadLetter, Origin
from wire.identity import NO_MODEL
from wire.moments import NO_EVENT, EventMs, SteadyMs
from wire.reason import Reason
from wire.sample import SampleRecord, encode_record

# Shards notice a new model within a quarter of a second and one epoch of each other, with room.
REANSWER_MS = 5_000
LOOK_AGAIN_MS = 1000


class Work(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one batch of users has for one shard; `waited` are samples that were held back."""

    shard: int
    samples: list[SampleRecord]
    queries: list[Query]
    waited: list[SampleRecord] = []


class Matching(NamedTuple):
    """What answers hold: `per_label` matched candidates of each label and, if `random`, as many random ones.

    `shards` are there in all, on `workers` workers; `seed` is that of the random draws.
    """

    shards: int
    workers: int
    per_label: int
    random: bool
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardOutput:
    """What came of one batch of work.

    `samples` (user key, message) are for the topic `samples`; `pooled` are new, `produced_ms` (n,) says when those were
    produced that did not wait; `event_ms` is how far event time has come; `refused` were out of the pool's window;
    `duplicates` were pooled before.
    """

    replies: list[Reply] = field(default_factory=list)
    samples: list[tuple[int, bytes]] = field(default_factory=list)
    refused: list[DeadLetter] = field(default_factory=list)
    duplicates: int = 0
    pooled: int = 0
    produced_ms: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    event_ms: EventMs = NO_EVENT


def route(outputs: Iterable[tuple[str, UserOutput]], shards: int, workers: int = 1) -> list[tuple[str, Work]]:
    """One piece of work per shard, keyed so that shards spread over workers.

    Samples go to the shard `user % shards`, queries to all.
    """
    works = [Work(shard, [], [], []) for shard in range(shards)]
    for _, output in outputs:
        for sample in output.samples:
            works[sample.user % shards].samples.append(sample)
        for sample in output.waited:
            works[sample.user % shards].waited.append(sample)
        for work in works if output.queries else ():
            work.queries.extend(output.queries)
    return [(shard_key(w.shard, workers), w) for w in works if w.samples or w.queries or w.waited]


class Shard:
    """One pool shard at work, with one cloud model at a time.

    A query may reach shards while they switch to a new model, at different moments; so each answers its newest
    queries again when it has switched, and `operators.gather` waits for answers of one version.
    """

    def __init__(self, pool: Pool, number: int, matching: Matching) -> None:
        self._pool = pool
        self._number = number
        self._matching = matching
        self._nearest = Nearest()
        self._random = Random(matching.seed) if matching.random else None
        self._answered: deque[tuple[SteadyMs, Query]] = deque()  # when, and what; of one version
        self._version = NO_MODEL  # that version; an empty pool is of none

    def handle(self, works: Sequence[Work], model: CloudModel, now_ms: SteadyMs) -> ShardOutput:
        """Pool the samples, then answer the queries; raises `VectorError` when the model gives bad vectors."""
        again = self._switch(model, now_ms)
        samples = [record for work in works for record in work.samples]
        prompt = len(samples)
        samples += [record for work in works for record in work.waited]
        queries = [*again, *(query for work in works for query in work.queries)]
        if not samples and not queries:
            return ShardOutput()
        block, keys = encode(samples, queries, model)
        output = self._upsert(samples, block, prompt) if samples else ShardOutput()
        output.replies.extend(self._answer(queries, keys, model))
        if self._matching.shards > 1:
            self._answered.extend((now_ms, query) for query in queries)
        return output

    def sync(self) -> int:
        """Save the pool from power cuts; returns what a restart may expect of it."""
        return self._pool.sync()

    @property
    def may_answer_again(self) -> bool:
        """Whether there are queries that a new model version would make it answer again."""
        return bool(self._answered)

    def _switch(self, model: CloudModel, now_ms: SteadyMs) -> list[Query]:
        """Bring the pool to the model; the queries to be answered again."""
        self._forget(now_ms)
        if model.id == self._version:
            return []
        if len(self._pool) and model.id != self._pool.model:
            self._pool.reencode(model.encode_block)
        self._version = model.id
        again = [query for _, query in self._answered]
        self._answered.clear()
        return again

    def _upsert(self, records: list[SampleRecord], block: SampleBlock, prompt: int) -> ShardOutput:
        result = self._pool.upsert(block)
        # Also what the pool had: after a crash it may have been pooled without having been sent.
        kept = (
            records if not result.late.any() else [r for r, late in zip(records, result.late, strict=True) if not late]
        )
        return ShardOutput(
            samples=[(record.user, encode_record(record)) for record in kept],
            refused=[_too_old(records[row]) for row in np.flatnonzero(result.late)],
            duplicates=int(result.duplicate.sum()),
            pooled=int(result.inserted.sum()),
            produced_ms=block.produced_ms[:prompt][result.inserted[:prompt]],
            event_ms=self._pool.now,
        )

    def _answer(self, queries: Sequence[Query], keys: F32, model: CloudModel) -> Iterable[Reply]:
        if not queries:
            return []
        users = np.fromiter((q.user for q in queries), np.uint64, len(queries))
        before_ms = np.fromiter((q.before_ms for q in queries), np.int64, len(queries))
        k, pool = self._matching.per_label, self._pool
        matched = pool.scored(self._nearest.match(pool, keys, users, before_ms, k))
        if self._random is not None:
            random = pool.scored(self._random.match(pool, keys, users, before_ms, k))
        else:
            random = [NONE] * len(queries)
        return [
            Reply(
                user_id=query.user_id,
                seq=query.seq,
                before_ms=query.before_ms,
                produced_ms=query.produced_ms,
                reason=query.reason,
                shard=self._number,
                model=model.id,
                matched=near,
                random=drawn,
            )
            for query, near, drawn in zip(queries, matched, random, strict=True)
        ]

    def _forget(self, now_ms: SteadyMs) -> None:
        while self._answered and self._answered[0][0] < now_ms - REANSWER_MS:
            self._answered.popleft()


NONE = Scored(no_candidates(), np.zeros(0))


def _too_old(record: SampleRecord) -> DeadLetter:
    detail = f"timestamp {record.timestamp} is out of the pool's window"
    return DeadLetter("event", Reason.WINDOW, detail, encode_record(record), Origin("user"))


class ShardLogic(StatefulBatchLogic[Work, ShardOutput, int]):
    """`Shard` in a dataflow; `open_shard` gives the one of a number, once the first work for it has come.

    Its state is what `Shard.sync` returned last, which `open_shard` is told.
    """

    def __init__(
        self,
        synced: int,
        open_shard: Callable[[int, int], Shard],
        model: Callable[[], CloudModel],
        clock: Clock,
    ) -> None:
        self._synced = synced
        self._open_shard = open_shard
        self._model = model
        self._clock = clock
        self._shard: Shard | None = None

    def on_batch(self, values: list[Work]) -> tuple[list[ShardOutput], bool]:
        """Take work from all workers."""
        if self._shard is None:
            self._shard = self._open_shard(values[0].shard, self._synced)
        return [self._shard.handle(values, self._model(), self._clock.steady_ms())], self.RETAIN

    def on_notify(self) -> tuple[list[ShardOutput], bool]:
        """A new model may have come while no work did, and another shard's answers wait for ours."""
        assert self._shard is not None, "only a shard with work is notified"
        return [self._shard.handle([], self._model(), self._clock.steady_ms())], self.RETAIN

    def notify_at(self) -> datetime | None:
        """Soon, as long as a new model would make it answer again."""
        again = self._shard is not None and self._shard.may_answer_again
        return after(self._clock, LOOK_AGAIN_MS) if again else None

    def snapshot(self) -> int:
        """The pool is on disk when this returns; of it, only how far it is."""
        if self._shard is not None:
            self._synced = self._shard.sync()
        return self._synced


def shard_step(
    step_id: str,
    up: KeyedStream[UserOutput],
    matching: Matching,
    *,
    open_shard: Callable[[int, int], Shard],
    model: Callable[[], CloudModel],
    clock: Clock,
) -> KeyedStream[ShardOutput]:
    """`route` and `Shard.handle` in a dataflow, by `clock`."""
    routing = partial(route, shards=matching.shards, workers=matching.workers)
    works: KeyedStream[Work] = op.flat_map_batch(f"{step_id}_route", up, routing)
    return op.stateful_batch(step_id, works, lambda synced: ShardLogic(synced or 0, open_shard, model, clock))
