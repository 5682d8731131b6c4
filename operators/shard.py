"""A pool shard's step: take in its samples, then answer everybody's queries from what it holds.

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
from index.pool import Pool
from index.scored import NONE, share
from models.cloud_model import CloudModel
from models.sample import SampleBlock
from operators.decode import EVENTS
from operators.encode import encode
from operators.gather import Reply
from operators.packed import Packed
from operators.placement import shard_key
from operators.user import Query, UserOutput
from wire.arrays import F32, I64
from wire.clock import Clock, after
from wire.dead_letter import DeadLetter, Origin
from wire.identity import NO_MODEL
from wire.moments import NO_EVENT, EventMs, SteadyMs
from wire.reason import Reason
from wire.sample import SampleRecord, encode_record

REANSWER_MS = 5_000  # shards notice a new model within a second and one epoch of each other, with room
AGAIN_AT_ONCE = 32  # queries answered again in one go: 30 ms of a core over 200,000 samples
LOOK_AGAIN_MS = 1000  # for a new model, while no work comes and another shard's answers may wait for ours
LULL_MS = 5  # a slice of a model change follows each piece of work, or the last slice after so long without any


class Work(Packed, frozen=True, array_like=True, gc=False):
    """What one batch of users has for one shard; `waited` are samples that were held back."""

    shard: int
    samples: list[SampleRecord]
    queries: list[Query]
    waited: list[SampleRecord] = msgspec.field(default_factory=list)


class Matching(NamedTuple):
    """What answers hold: `per_label` matched candidates of each label and, if `random`, as many random ones.

    `shards` are there in all; `seed` is that of the random draws.
    """

    shards: int
    per_label: int
    random: bool
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardOutput:
    """What came of one batch of work.

    `samples` (user key, message) are for the topic `samples`; `pooled` are new; `event_ms` is how far event time has
    come; `refused` were out of the pool's window; `duplicates` were pooled before.
    """

    replies: list[Reply] = field(default_factory=list)
    samples: list[tuple[int, bytes]] = field(default_factory=list)
    refused: list[DeadLetter] = field(default_factory=list)
    duplicates: int = 0
    pooled: int = 0
    event_ms: EventMs = NO_EVENT


def route(outputs: Iterable[tuple[str, UserOutput]], shards: int) -> list[tuple[str, Work]]:
    """One piece of work per shard, keyed so that shards spread over workers.

    Samples go to the shard `sample % shards`, queries to all. A sample's key is a hash, so that the best for any query
    are spread over the shards as by chance (`index.scored.share`); by user, alike ones would lie together.
    """
    works = [Work(shard, [], [], []) for shard in range(shards)]
    for _, output in outputs:
        for sample in output.samples:
            works[sample.sample % shards].samples.append(sample)
        for sample in output.waited:
            works[sample.sample % shards].waited.append(sample)
        for work in works if output.queries else ():
            work.queries.extend(output.queries)
    return [(shard_key(w.shard, shards), w) for w in works if w.samples or w.queries or w.waited]


class Shard:
    """One pool shard at work, with one cloud model at a time: the newest, once all of the pool is encoded by it.

    Until then the one before answers, and `go_on` encodes, a slice at a time. Shards are through with it at different
    moments, and a query may reach some before and others after; so each answers again, by the new model, what it
    was asked since any of them may have begun, and `operators.gather` waits for answers of one version. What a crash
    takes of these, devices ask for again.

    `on_pooled` hears when those samples were produced (n,) that are new and did not wait, as soon as searches find
    them: the answers to what came with them take several times as long. While everybody is `held_up` where an epoch
    ends, it does not go on: that takes many rounds of the dataflow, and a slice in each would add up.
    """

    def __init__(
        self,
        pool: Pool,
        number: int,
        matching: Matching,
        on_pooled: Callable[[I64], None] = lambda _produced_ms: None,
        held_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self._pool = pool
        self._number = number
        self._matching = matching
        self._share = share(matching.per_label, matching.shards)
        self._on_pooled, self._held_up = on_pooled, held_up
        self._nearest = Nearest()
        self._random = Random(matching.seed) if matching.random else None
        self._model: CloudModel | None = None  # that answers
        self._newest = NO_MODEL  # that answers, or that the pool is being encoded by
        self._went_on_ms = SteadyMs(0)
        self._worked = False  # since it went on
        self._answered: deque[tuple[SteadyMs, Query]] = deque()  # when, and what, by the model that answers
        self._again: deque[Query] = deque()  # to be answered once more

    def handle(self, works: Sequence[Work], newest: CloudModel, now_ms: SteadyMs) -> ShardOutput:
        """Pool the samples, then answer the queries; raises `VectorError` when the model gives bad vectors."""
        model, self._worked = self._look(newest, now_ms), True
        samples = [record for work in works for record in work.samples]
        prompt = len(samples)
        samples += [record for work in works for record in work.waited]
        queries = [query for work in works for query in work.queries]
        if not samples and not queries:
            return ShardOutput()
        block, keys = encode(samples, queries, model)
        output = self._upsert(samples, block, prompt) if samples else ShardOutput()
        output.replies.extend(self._answer(queries, keys, model, now_ms))
        return output

    def go_on(self, newest: CloudModel, now_ms: SteadyMs) -> ShardOutput:
        """Do a little of what nobody waits for: answer some queries again, or encode a slice of the pool by a newer
        model. Raises `VectorError`."""
        model, self._went_on_ms, self._worked = self._look(newest, now_ms), now_ms, False
        if self._held_up():
            return ShardOutput()
        again = [self._again.popleft() for _ in range(min(AGAIN_AT_ONCE, len(self._again)))]
        if again:
            _, keys = encode([], again, model)
            return ShardOutput(replies=self._answer(again, keys, model, now_ms))
        if self._pool.in_shadow and self._pool.step_shadow():
            self._switch(newest)
        return ShardOutput()

    def sync(self) -> int:
        """Save the pool from power cuts; returns what a restart may expect of it.

        It is called where an epoch ends, which takes many rounds of the dataflow without any work: a slice in each of
        them would hold up what comes next.
        """
        self._worked = False
        return self._pool.sync()

    @property
    def goes_on_ms(self) -> SteadyMs | None:
        """When it wants to go on; None when only work makes it look for a new model."""
        if self._again or self._pool.in_shadow:
            return self._went_on_ms if self._worked else SteadyMs(self._went_on_ms + LULL_MS)
        return SteadyMs(self._went_on_ms + LOOK_AGAIN_MS) if self._answered else None

    def _look(self, newest: CloudModel, now_ms: SteadyMs) -> CloudModel:
        """The model that answers; begins with the newest, and to encode by what is newer later."""
        if self._model is None:  # nothing is served yet, and an older model is no more to be had
            if len(self._pool) and newest.id != self._pool.model:
                self._pool.reencode(newest.encode_block)
            self._model, self._newest = newest, newest.id
        if newest.id != self._newest:
            self._pool.begin_shadow(newest.encode_block)
            self._newest = newest.id
        while not self._pool.in_shadow and self._answered and self._answered[0][0] < now_ms - REANSWER_MS:
            self._answered.popleft()
        return self._model

    def _switch(self, newest: CloudModel) -> None:
        self._model = newest
        self._again.extend({query.user: query for _, query in self._answered}.values())  # the newest of each user
        self._answered.clear()

    def _upsert(self, records: list[SampleRecord], block: SampleBlock, prompt: int) -> ShardOutput:
        result = self._pool.upsert(block)
        self._on_pooled(block.produced_ms[:prompt][result.inserted[:prompt]])
        # Also what the pool had: after a crash it may have been pooled without having been sent.
        kept = (
            records if not result.late.any() else [r for r, late in zip(records, result.late, strict=True) if not late]
        )
        return ShardOutput(
            samples=[(record.user, encode_record(record)) for record in kept],
            refused=[_too_old(records[row]) for row in np.flatnonzero(result.late)],
            duplicates=int(result.duplicate.sum()),
            pooled=int(result.inserted.sum()),
            event_ms=self._pool.now,
        )

    def _answer(self, queries: Sequence[Query], keys: F32, model: CloudModel, now_ms: SteadyMs) -> list[Reply]:
        if not queries:
            return []
        if self._matching.shards > 1:
            self._answered.extend((now_ms, query) for query in queries)
        users = np.fromiter((q.user for q in queries), np.uint64, len(queries))
        before_ms = np.fromiter((q.before_ms for q in queries), np.int64, len(queries))
        k, pool = self._share, self._pool
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


def _too_old(record: SampleRecord) -> DeadLetter:
    detail = f"timestamp {record.timestamp} is out of the pool's window"
    return DeadLetter("event", Reason.WINDOW, detail, encode_record(record), Origin(EVENTS))


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
        """Go on with what nobody waits for; a new model may also have come while no work did."""
        assert self._shard is not None, "only a shard with work is notified"
        return [self._shard.go_on(self._model(), self._clock.steady_ms())], self.RETAIN

    def notify_at(self) -> datetime | None:
        """When the shard wants to go on, however much work comes until then."""
        goes_on_ms = self._shard.goes_on_ms if self._shard is not None else None
        return None if goes_on_ms is None else after(self._clock, max(0, goes_on_ms - self._clock.steady_ms()))

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
    routing = partial(route, shards=matching.shards)
    works: KeyedStream[Work] = op.flat_map_batch(f"{step_id}_route", up, routing)
    return op.stateful_batch(step_id, works, lambda synced: ShardLogic(synced or 0, open_shard, model, clock))
