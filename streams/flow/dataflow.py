"""The cloud dataflow, put together: Kafka in, decode, per user, per pool shard, gather, Kafka out.

events, requests ─▶ decode ─▶ user (dedupe, features) ─▶ audience ─▶ shard (pool, search) ─▶ gather ─▶ candidates
                      │            │                          ▲          └─▶ samples
                      └────────────┴─▶ events.dlq    canaries ┘
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import Dataflow, Stream
from bytewax.operators import KeyedStream

from index.owner import Owner
from models.cloud_model import CloudModel
from models.quorum import Quorum
from monitor.freshness import observe_freshness
from monitor.metrics import Metrics
from operators.audience_step import audience_step
from operators.canary import canaries, people
from operators.event_time import event_time_step
from operators.gather import Merge, gather_step
from operators.renewals import Renewals
from operators.residents import Meter, Residents
from operators.shard import Matching, Shard, ShardOutput, shard_step
from operators.shard_items import STAY, ShardItems, Through
from operators.shard_users import ShardUsers
from operators.user import UserOutput
from operators.user_step import SLACK_MS, user_step
from streams.flow.blame import Blame
from streams.flow.pool_shards import PoolShards
from streams.flow.settings import FlowSettings
from streams.flow.sink import KafkaOutput, Outgoing
from streams.flow.source import KafkaInput
from streams.flow.state import FLOW_ID, ITEMS, OUTPUT, POOLED, USERS
from streams.flow.state_shards import StateShards
from streams.kafka.topics import CANDIDATES, DEAD_LETTERS, REQUESTS, SAMPLES
from wire.arrays import I64
from wire.batch import PackedBatch, encode_packed
from wire.canary import is_canary
from wire.clock import Clock
from wire.dead_letter import DeadLetter
from wire.push_headers import PushHeaders

Emitted = list[tuple[str, Outgoing]]


def build_flow(
    settings: FlowSettings,
    source: KafkaInput,
    sink: KafkaOutput,
    pools: PoolShards,
    states: StateShards,
    *,
    clock: Clock,
    metrics: Metrics,
    model: Callable[[], CloudModel],
    blame: Blame,
    held_up: Callable[[], bool] = lambda: False,
) -> Dataflow:
    """The dataflow of one process; `model` gives the newest cloud model whenever it is asked.

    `blame` notes what the world is to blame for when a pool or a model fails. While all are `held_up` where an epoch
    ends no pool goes on with a change of models.
    """
    flow, counts, out = Dataflow(FLOW_ID), _Counts(clock, metrics), _Emitter(sink.part, clock, metrics)
    per_label = settings.candidates // 2
    matching = Matching(settings.shards, per_label, settings.random, settings.seed)
    messages: Any = op.input("kafka", flow, source)
    arrivals, rejected = event_time_step(
        "decode",
        messages,
        requests=REQUESTS,
        lead_ms=settings.rules.lead_ms,
        clock=clock,
    )
    came = user_step(
        USERS,
        op.flat_map_batch("people", arrivals, people),
        settings.shards,
        open_users=_Users(settings, states, pools, clock=clock, metrics=metrics, blame=blame).open,
        clock=clock,
    )
    late = op.flat_map_batch("late", came, counts.late)
    asked: KeyedStream[UserOutput] = op.merge(
        "asked",
        audience_step(
            ITEMS,
            came,
            settings.min_users,
            shards=settings.shards,
            workers=settings.processes,
            open_items=_Items(settings.min_users, states, metrics=metrics, blame=blame).open,
            metrics=metrics,
        ),
        op.flat_map_batch("canaries", arrivals, canaries),
    )
    shards = shard_step(
        POOLED,
        asked,
        matching,
        open_shard=_Shards(settings, states, pools, matching, counts.pooled, held_up=held_up, blame=blame).open,
        model=model,
        clock=clock,
    )
    refused = op.flat_map_batch("refused", shards, counts.refused)
    replies: Any = op.flat_map_batch("replies", shards, lambda outputs: counts.replies(outputs, pools.live()))
    batches = gather_step("gather", replies, Merge(settings.shards, per_label), clock=clock, metrics=metrics)
    letters: Stream[DeadLetter] = op.merge("letters", rejected, late, refused)
    emitted: KeyedStream[Outgoing] = op.merge(
        "emitted",
        op.flat_map_batch("dead_letters", letters, out.dead_letters),
        op.flat_map_batch("samples", shards, out.samples),
        op.flat_map_batch("candidates", batches, out.candidates),
    )
    op.output(OUTPUT, emitted, sink)
    return flow


class _Users:
    """Opens the users of the shards of one worker, who share what they know of time, and counts them."""

    def __init__(
        self,
        settings: FlowSettings,
        states: StateShards,
        pools: PoolShards,
        *,
        clock: Clock,
        metrics: Metrics,
        blame: Blame,
    ) -> None:
        self._settings, self._states, self._clock, self._metrics, self._blame = settings, states, clock, metrics, blame
        self._stream, self._renewals = Quorum(SLACK_MS), Renewals(pools.model, clock)
        self._opened: list[ShardUsers] = []

    def open(self, shard: int, checkpoint: int | None) -> ShardUsers:
        """The users of one shard as of a checkpoint."""
        with self._blame:
            opened = ShardUsers(
                self._states.of(shard).users,
                checkpoint,
                self._settings.rules,
                clock=self._clock,
                stream=self._stream,
                residents=Residents(self._settings.stay, Meter.of_users(self._metrics, self._count)),
                renewals=self._renewals,
            )
        self._opened.append(opened)
        return self._blame.of(opened, "handle", "waited", "sync")

    def _count(self, _users: float) -> None:
        self._metrics.users.set(sum(map(len, self._opened)))


class _Items:
    """Opens the items of the shards of one worker, and counts them."""

    def __init__(self, min_users: int, states: StateShards, *, metrics: Metrics, blame: Blame) -> None:
        self._min_users, self._states, self._metrics, self._blame = min_users, states, metrics, blame
        self._opened: list[ShardItems] = []

    def open(self, shard: int, checkpoint: int | None, through: Through) -> ShardItems:
        """The items of one shard as of a checkpoint."""
        with self._blame:
            opened = ShardItems(
                self._states.of(shard).items,
                checkpoint,
                self._min_users,
                residents=Residents(STAY, Meter.of_items(self._metrics, self._count)),
                through=through,
                metrics=self._metrics,
            )
        self._opened.append(opened)
        self._count(len(opened))
        return self._blame.of(opened, "handle", "waited", "sync")

    def _count(self, _items: float) -> None:
        self._metrics.items.set(sum(map(len, self._opened)))


class _Shards:
    """Opens the pool shards of one worker."""

    def __init__(
        self,
        settings: FlowSettings,
        states: StateShards,
        pools: PoolShards,
        matching: Matching,
        on_pooled: Callable[[I64], None],
        *,
        held_up: Callable[[], bool],
        blame: Blame,
    ) -> None:
        self._settings, self._states, self._pools, self._blame = settings, states, pools, blame
        self._matching, self._on_pooled, self._held_up = matching, on_pooled, held_up

    def open(self, number: int, synced: int) -> Shard:
        """The shard of a number, whose pool must be where that sync left it."""
        with self._blame:
            pool = self._pools.pool(number)
            pool.work_for(Owner(number, self._settings.shards, self._states.state), synced)
        shard = Shard(pool, number, self._matching, self._on_pooled, self._held_up)
        return self._blame.of(shard, "handle", "go_on", "sync")


class _Emitter:
    """Turns results into messages, keyed by the sink's part of this process; counts them."""

    def __init__(self, part: str, clock: Clock, metrics: Metrics) -> None:
        self._part, self._clock, self._metrics = part, clock, metrics

    def dead_letters(self, letters: Iterable[DeadLetter]) -> Emitted:
        """One message per dead letter."""
        emitted = []
        for letter in letters:
            rejected, requests = self._metrics.rejected, self._metrics.requests_rejected
            (rejected.labels(letter.reason) if letter.of_event else requests).inc()
            emitted.append((self._part, Outgoing(DEAD_LETTERS, [letter.key], [letter.value], letter.headers)))
        return emitted

    def samples(self, outputs: Iterable[tuple[str, ShardOutput]]) -> Emitted:
        """One message per sample, keyed by its user's key."""
        samples = [sample for _, output in outputs for sample in output.samples]
        if not samples:
            return []
        keys, values = [str(user).encode() for user, _ in samples], [message for _, message in samples]
        return [(self._part, Outgoing(SAMPLES, keys, values))]

    def candidates(self, keyed: Iterable[tuple[str, tuple[str, PackedBatch]]]) -> Emitted:
        """One message per batch, keyed by user id."""
        batches = [finished for _, finished in keyed]
        if not batches:
            return []
        of_users = [(reason, batch.produced_ms) for reason, batch in batches if not is_canary(batch.user_id)]
        for reason, _ in of_users:
            self._metrics.matches.labels(reason).inc()
        produced_ms = np.fromiter((at_ms for _, at_ms in of_users), np.int64, len(of_users))
        observe_freshness(self._metrics, "matched", produced_ms, self._clock.wall_ms())
        return [(self._part, _push(batch)) for _, batch in batches]


class _Counts:
    """Takes apart what users and shards gave, and counts it."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock, self._metrics = clock, metrics

    def late(self, keyed: Iterable[tuple[str, UserOutput]]) -> list[DeadLetter]:
        """What came too late."""
        duplicates, late = 0, []
        for _, output in keyed:
            duplicates += output.duplicates
            self._metrics.matches_withheld.inc(output.withheld)
            late.extend(output.late)
        self._count_duplicates(duplicates)
        return late

    def pooled(self, produced_ms: I64) -> None:
        """Ages of what has just become searchable."""
        observe_freshness(self._metrics, "pooled", produced_ms, self._clock.wall_ms())

    def refused(self, keyed: Iterable[tuple[str, ShardOutput]]) -> list[DeadLetter]:
        """What the pool did not take."""
        refused = []
        for _, output in keyed:
            refused.extend(output.refused)
            self._count_duplicates(output.duplicates)
            self._metrics.pooled.inc(output.pooled)
            if output.event_ms >= 0:
                self._metrics.event_frontier_s.labels("pooled").set(output.event_ms / 1000)
        return refused

    def replies(self, keyed: Iterable[tuple[str, ShardOutput]], live: Mapping[int, int]) -> list[tuple[str, object]]:
        """Answers to queries, by user; `live` is how many samples there are in each shard."""
        for shard, samples in live.items():
            self._metrics.pool_live.labels(str(shard)).set(samples)
        return [(reply.user_id, reply) for _, output in keyed for reply in output.replies]

    def _count_duplicates(self, n: int) -> None:
        if n:
            self._metrics.rejected.labels("duplicate").inc(n)


def _push(batch: PackedBatch) -> Outgoing:
    return Outgoing(CANDIDATES, [batch.user_id.encode()], [encode_packed(batch)], PushHeaders.of(batch).encode())
