"""Shards while their pools change models: who is answered by which, and what waits."""

from dataclasses import fields
from pathlib import Path

import msgspec

from index.pool import Pool
from index.spec import PoolSpec
from models.cloud_model import CloudModel
from models.sample import SampleBlock
from operators.gather import GatherState, Merge, Reply
from operators.shard import (
    AGAIN_AT_ONCE,
    LOOK_AGAIN_MS,
    LULL_MS,
    REANSWER_MS,
    Shard,
    ShardLogic,
    Work,
    route,
)
from operators.user import Query, UserOutput
from tests.clock import HandClock
from tests.operators.sharded import NOW_MS, STEADY_MS, matching, model, outputs
from wire.clock import after
from wire.moments import SteadyMs


def later(ms: int) -> SteadyMs:
    return SteadyMs(STEADY_MS + ms)


def switch(shard: Shard, newest: CloudModel, now_ms: SteadyMs = STEADY_MS) -> list[Reply]:
    """Let a shard that has something to encode or to answer again go on until it has not; what it answered."""
    replies = shard.handle([], newest, now_ms).replies
    while shard.goes_on_ms is not None and shard.goes_on_ms < now_ms + LOOK_AGAIN_MS:
        output = shard.go_on(newest, now_ms)
        assert len(output.replies) <= AGAIN_AT_ONCE
        replies += output.replies
    return replies


def test_shards_that_switch_models_at_different_times_answer_with_one_version(tmp_path: Path) -> None:
    stream = outputs(80)
    with Pool.open(tmp_path / "0", PoolSpec()) as one, Pool.open(tmp_path / "1", PoolSpec()) as other:
        quick, slow = Shard(one, 0, matching(2)), Shard(other, 1, matching(2))
        state = GatherState()
        last = [piece for piece in stream if piece[1].queries][-1]
        for _, work in route([(name, UserOutput(o.samples, [], [], 0)) for name, o in stream], 2):
            (quick, slow)[work.shard].handle([work], model(1), STEADY_MS)
        (_, for_quick), (_, for_slow) = route([("", UserOutput([], last[1].queries, [], 0))], 2)
        switch(quick, model(2))
        replies = quick.handle([for_quick], model(2), STEADY_MS).replies
        replies += slow.handle([for_slow], model(1), STEADY_MS).replies
        assert {reply.model.version for reply in replies} == {1, 2}
        assert state.handle(replies, Merge(2, 4), NOW_MS, 0).batches == []
        assert slow.goes_on_ms is not None
        again = switch(slow, model(2), later(1000))
        ((_, batch),) = state.handle(again, Merge(2, 4), NOW_MS, 0).batches
        assert batch.model.version == 2 and batch.matched == 8
        assert one.model.version == other.model.version == 2


def only_queries(users: int = 7) -> tuple[Work, list[Query]]:
    queries = [q for _, o in outputs(10, users) for q in o.queries]
    ((_, work),) = route([("", UserOutput([], queries, [], 0))], 1)
    return work, queries


def test_old_answers_are_not_given_again(tmp_path: Path) -> None:
    work, queries = only_queries()
    with Pool.open(tmp_path, PoolSpec()) as pool:
        shard = Shard(pool, 0, matching(shards=2))
        assert len(shard.handle([work], model(1), STEADY_MS).replies) == len(queries)
        shard.go_on(model(1), later(REANSWER_MS + 1))
        assert shard.goes_on_ms is None
        assert switch(shard, model(2), later(REANSWER_MS + 1)) == []


def test_a_shard_that_has_no_samples_answers_once(tmp_path: Path) -> None:
    work, queries = only_queries()
    with Pool.open(tmp_path, PoolSpec()) as pool:
        shard = Shard(pool, 0, matching(shards=2))
        assert len(shard.handle([work], model(1), STEADY_MS).replies) == len(queries)
        assert shard.go_on(model(1), later(1000)).replies == []
        assert len(switch(shard, model(2), later(2000))) == len(queries)


def test_of_what_is_answered_again_only_the_newest_of_each_user_is(tmp_path: Path) -> None:
    (one,) = only_queries()[1][:1]
    many = [msgspec.structs.replace(one, seq=seq, user=seq % 50) for seq in range(1, 101)]
    with Pool.open(tmp_path, PoolSpec()) as pool:
        shard = Shard(pool, 0, matching(shards=2))
        assert len(shard.handle([Work(0, [], many)], model(1), STEADY_MS).replies) == 100
        again = switch(shard, model(2))
        assert [reply.seq for reply in again] == list(range(51, 101))
        assert {reply.model.version for reply in again} == {2}


class SlicedPool(Pool):
    slice_rows = 10


def test_while_a_pool_changes_models_the_old_one_answers_and_nothing_waits(tmp_path: Path) -> None:
    """Not for longer than one slice: each call encodes a slice, or what came with it."""
    stream = outputs(80)
    seen: list[tuple[int, int]] = []  # rows encoded by the new model, and the version that answered, of each call

    class Newest(CloudModel):
        def encode_block(self, block: SampleBlock) -> SampleBlock:
            rows[0] += len(block)
            return super().encode_block(block)

    newest = Newest(**{each.name: getattr(model(2), each.name) for each in fields(CloudModel)})
    rows = [0]
    with SlicedPool.open(tmp_path, PoolSpec()) as pool:
        shard = Shard(pool, 0, matching())
        for _, work in route(stream[:60], 1):
            shard.handle([work], model(1), STEADY_MS)
        for piece in stream[60:]:
            ((_, work),) = route([piece], 1)
            rows[0] = 0
            output = shard.handle([work], newest, STEADY_MS)
            assert output.pooled == 1
            seen += [(rows[0], reply.model.version) for reply in output.replies]
            rows[0] = 0
            assert shard.go_on(newest, STEADY_MS).replies == []
            assert rows[0] <= 10
        assert pool.model.version == 2 and len(pool) == 80
    assert max(each for each, _ in seen) <= 2  # the sample and the query that came
    versions = [version for _, version in seen]
    assert versions == sorted(versions) and set(versions) == {1, 2}


def test_what_was_asked_while_a_pool_changes_models_is_answered_again_however_long_it_takes(tmp_path: Path) -> None:
    stream = outputs(60)
    with SlicedPool.open(tmp_path, PoolSpec()) as pool:
        shard = Shard(pool, 0, matching(shards=2))
        for _, work in route([(name, UserOutput(o.samples, [], [], 0)) for name, o in stream], 1):
            shard.handle([work], model(1), STEADY_MS)
        work, queries = only_queries()
        assert len(shard.handle([work], model(2), STEADY_MS).replies) == len(queries)
        shard.go_on(model(2), later(2 * REANSWER_MS))
        assert [reply.seq for reply in switch(shard, model(2), later(3 * REANSWER_MS))] == [q.seq for q in queries]


def test_a_shard_is_woken_for_each_slice_however_much_work_comes(tmp_path: Path) -> None:
    clock, stream = HandClock(wall_ms=NOW_MS), outputs(60)
    newest = [model(1)]
    with SlicedPool.open(tmp_path, PoolSpec()) as pool:
        logic = ShardLogic(0, lambda number, _: Shard(pool, number, matching()), lambda: newest[0], clock)
        works = [work for _, work in route(stream, 1)]
        logic.on_batch(works)
        assert logic.notify_at() is None
        newest[0], slices = model(2), 0
        for _ in range(40):
            logic.on_batch([Work(0, [], [])])
            at = logic.notify_at()
            if at is not None and at <= after(clock, 0):
                logic.on_notify()
                slices += 1
            clock.passes(5)
        assert pool.model.version == 2 and slices == 7
        assert logic.notify_at() is None


def test_slices_take_turns_with_work_and_none_is_due_where_an_epoch_ends(tmp_path: Path) -> None:
    newest = model(2)
    with SlicedPool.open(tmp_path, PoolSpec()) as pool:
        shard = Shard(pool, 0, matching())
        for _, work in route(outputs(60), 1):
            shard.handle([work], model(1), STEADY_MS)
        shard.handle([], newest, later(100))
        assert shard.goes_on_ms is not None and shard.goes_on_ms <= later(100)
        shard.go_on(newest, later(100))
        assert shard.goes_on_ms == later(100 + LULL_MS), "work has its turn"
        shard.handle([], newest, later(105))
        assert shard.goes_on_ms <= later(105)
        shard.sync()
        assert shard.goes_on_ms == later(100 + LULL_MS)
        shard.go_on(newest, later(100 + LULL_MS))
        assert shard.goes_on_ms == later(100 + 2 * LULL_MS), "it goes on where nothing comes"


def test_while_an_epoch_ends_no_slice_is_encoded(tmp_path: Path) -> None:
    ends = [True]
    with SlicedPool.open(tmp_path, PoolSpec()) as pool:
        shard = Shard(pool, 0, matching(), held_up=lambda: ends[0])
        for _, work in route(outputs(60), 1):
            shard.handle([work], model(1), STEADY_MS)
        for ms in range(100, 200):
            shard.go_on(model(2), later(ms))
        assert pool.in_shadow and shard.goes_on_ms == later(199 + LULL_MS)
        ends[0] = False
        switch(shard, model(2), later(200))
        assert pool.model.version == 2


def test_after_a_restart_a_pool_of_a_model_that_is_gone_is_encoded_before_it_answers(tmp_path: Path) -> None:
    stream = outputs(60)
    with SlicedPool.open(tmp_path, PoolSpec()) as pool:
        for _, work in route([(name, UserOutput(o.samples, [], [], 0)) for name, o in stream], 1):
            Shard(pool, 0, matching()).handle([work], model(1), STEADY_MS)
        pool.begin_shadow(model(2).encode_block)
        pool.step_shadow()
    with SlicedPool.open(tmp_path, PoolSpec()) as pool:
        replies = Shard(pool, 0, matching()).handle([only_queries()[0]], model(2), STEADY_MS).replies
        assert replies and {reply.model.version for reply in replies} == {2} == {pool.model.version}
