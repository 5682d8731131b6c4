from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from index.pool import Pool
from index.spec import PoolSpec
from models.cloud_model import CloudModel, random_model
from models.sample import SampleBlock, decode_samples
from models.signature import KEY_DIM
from operators.decode import Arrival
from operators.encode import encode
from operators.gather import GatherState, Merge, Reply
from operators.placement import shard_key
from operators.shard import (
    AGAIN_AT_ONCE,
    LOOK_AGAIN_MS,
    LULL_MS,
    REANSWER_MS,
    Matching,
    Shard,
    ShardLogic,
    ShardOutput,
    Work,
    route,
)
from operators.user import MatchRules, Query, UserOutput, UserState
from tests.clock import HandClock
from wire.batch import encode_batch
from wire.candidates import CandidateBatch
from wire.clock import after
from wire.errors import VectorError
from wire.ids import user_key
from wire.moments import EventMs, SteadyMs, WallMs
from wire.sample import SampleRecord

RULES = MatchRules(match_every=5)
NOW_MS, STEADY_MS = WallMs(1_000_000), SteadyMs(7)
MINUTE_MS = 60_000
KEYS = np.arange(1, 40, dtype=np.uint32)


def model(version: int = 1) -> CloudModel:
    return random_model(KEYS, KEYS, seed=version, version=version)


def outputs(events: int, users: int = 7, seed: int = 0) -> list[tuple[str, UserOutput]]:
    """What the user step gives for `events` random events, one at a time.

    Labels alternate per user, so that no two samples of one label have the same history but the users' first:
    among samples that are exactly as similar, which one wins is nobody's promise.
    """
    rng = np.random.default_rng(seed)
    states: dict[str, UserState] = {}
    found = []
    for n in range(events):
        name = f"user-{rng.integers(users)}"
        state, item = states.setdefault(name, UserState(name)), int(rng.integers(1, 40))
        label = (len(state.seen) + 1) % 2
        arrival = Arrival(
            user_id=name,
            sample=n + 1,
            item=item,
            category=item % 5 + 1,
            label=label,
            timestamp=EventMs((n + 1) * MINUTE_MS),
            produced_ms=WallMs(NOW_MS + n),
            raw=b"",
            partition=0,
            offset=n,
        )
        found.append((name, state.handle([arrival], RULES, NOW_MS)))
    return found


def matching(shards: int = 1, random: bool = True) -> Matching:
    return Matching(shards, workers=1, per_label=4, random=random, seed=0)


def run(
    folder: Path, stream: list[tuple[str, UserOutput]], shards: int = 1, random: bool = True
) -> tuple[list[CandidateBatch], list[ShardOutput]]:
    """All batches that come of a stream, piece by piece, and what the shards gave."""
    found, given = [], []
    pools = [Pool.open(folder / str(n), PoolSpec()) for n in range(shards)]
    workers = [Shard(pool, n, matching(shards, random)) for n, pool in enumerate(pools)]
    states: dict[str, GatherState] = {}
    for piece in stream:
        for _, work in route([piece], shards):
            output = workers[work.shard].handle([work], model(), STEADY_MS)
            given.append(output)
            for reply in output.replies:
                state = states.setdefault(reply.user_id, GatherState())
                found += [batch for _, batch in state.handle([reply], Merge(shards, 4), NOW_MS, 0).batches]
    for pool in pools:
        pool.close()
    return found, given


def contents(batch: CandidateBatch) -> tuple[object, ...]:
    matched, random = batch.matched, batch.random
    rows = [sorted(zip(c.item.tolist(), c.label.tolist(), c.age_s.tolist(), strict=True)) for c in (matched, random)]
    return batch.user_id, batch.query_timestamp, *rows


def test_work_goes_to_the_shard_of_its_user_and_queries_to_all() -> None:
    stream = outputs(40)
    works = dict(route(stream, 3, workers=2))
    assert sorted(works) == sorted(shard_key(n, 2) for n in range(3))
    for key, work in works.items():
        assert key == shard_key(work.shard, 2)
        assert all(record.user % 3 == work.shard for record in work.samples)
        assert [q.seq for q in work.queries] == [q.seq for _, o in stream for q in o.queries]
    assert sum(len(work.samples) for work in works.values()) == 40
    assert route([("ann", UserOutput([], [], [], 1))], 3) == []


def test_samples_are_told_to_be_pooled_once_and_before_anything_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((_, work),) = route(outputs(20), 1)
    waited = msgspec.structs.replace(work.samples[-1], sample=99, produced_ms=1)
    work = Work(0, work.samples, work.queries, [waited])
    done: list[object] = []
    with Pool.open(tmp_path, PoolSpec()) as pool:
        search = pool.search

        def searched(*asked: Any) -> Any:
            done.append("answered")
            return search(*asked)

        monkeypatch.setattr(pool, "search", searched)
        shard = Shard(pool, 0, matching(), lambda produced_ms: done.append(produced_ms.tolist()))
        shard.handle([work], model(), STEADY_MS)
        shard.handle([Work(0, work.samples, [])], model(), STEADY_MS)
    assert work.queries and done == [[NOW_MS + n for n in range(20)], "answered", []]


def test_samples_are_pooled_once_and_always_told(tmp_path: Path) -> None:
    stream = outputs(60)
    _, given = run(tmp_path, stream)
    _, again = run(tmp_path, stream)  # as after a crash
    assert sum(output.pooled for output in given) == 60
    assert sum(output.pooled for output in again) == 0 and sum(o.duplicates for o in again) == 60
    for once in (given, again):
        block = decode_samples([message for output in once for _, message in output.samples])
        assert block.sample.tolist() == list(range(1, 61))


def test_answers_hold_both_labels_of_others_and_only_the_past(tmp_path: Path) -> None:
    batches, _ = run(tmp_path, outputs(150))
    batch = batches[-1]
    for candidates in (batch.matched, batch.random):
        assert candidates.label.tolist() == [0] * 4 + [1] * 4
        assert (candidates.age_s > 0).all()
    by_label = batch.similarity.reshape(2, 4)
    assert (np.diff(by_label) <= 0).all() and np.abs(by_label).max() <= 1
    own = {r.item for name, o in outputs(150) if name == batch.user_id for r in o.samples}
    others = {r.item for name, o in outputs(150) if name != batch.user_id for r in o.samples}
    assert set(batch.matched.item.tolist()) <= others and others - own


def test_sharding_changes_no_answer(tmp_path: Path) -> None:
    stream = outputs(150)
    alone, _ = run(tmp_path / "one", stream)
    together, _ = run(tmp_path / "three", stream, shards=3)
    assert len(alone) == len(together)
    assert [contents(batch) for batch in alone[-15:]] == [contents(batch) for batch in together[-15:]]


def test_random_samples_can_be_left_out(tmp_path: Path) -> None:
    batches, _ = run(tmp_path, outputs(100), random=False)
    assert len(batches[-1].matched) == 8 and len(batches[-1].random) == 0
    sharded, _ = run(tmp_path / "sharded", outputs(100), shards=2, random=False)
    assert len(sharded[-1].random) == 0


def test_a_sample_out_of_the_window_is_a_dead_letter(tmp_path: Path) -> None:
    with Pool.open(tmp_path, PoolSpec(window_age_ms=MINUTE_MS)) as pool:
        shard = Shard(pool, 0, matching())
        (first, late) = outputs(2, users=1)[0][1].samples + outputs(2, users=1)[1][1].samples
        ((_, newest),) = route([("user-0", UserOutput([late], [], [], 0))], 1)
        ((_, older),) = route([("user-0", UserOutput([first], [], [], 0))], 1)
        shard.handle([newest], model(), STEADY_MS)
        output = shard.handle([older], model(), STEADY_MS)
        (refused,) = output.refused
        assert refused.reason == "window" and output.samples == []
        assert decode_samples([refused.raw]).sample.tolist() == [first.sample]


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
        assert batch.version == 2 and len(batch.matched) == 8
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


def test_a_model_that_gives_no_numbers_is_refused(tmp_path: Path) -> None:
    broken = model()
    broken.weights.null.fill_(float("nan"))
    ((_, work),) = route(outputs(1), 1)
    with Pool.open(tmp_path, PoolSpec()) as pool, pytest.raises(VectorError):
        Shard(pool, 0, matching()).handle([work], broken, STEADY_MS)


def test_a_query_is_encoded_as_a_sample_with_its_history() -> None:
    """A query holds the event beside it too, so where that was a negative the two histories are one."""
    pieces = [output for _, output in outputs(60) if output.queries]
    samples, queries = [p.samples[0] for p in pieces], [p.queries[0] for p in pieces]
    block, keys = encode(samples, queries, model())
    assert block.match_key is not None
    same = block.label == 0
    close = np.isclose(block.match_key, keys, rtol=1e-5, atol=1e-6).all(axis=1)
    assert 0 < same.sum() < len(same) and close.tolist() == same.tolist()
    assert encode(samples, [], model())[1].shape == (0, KEY_DIM)
    assert all(isinstance(q, Query) and q.user == user_key(q.user_id) for q in queries)


def test_a_batch_is_the_same_bytes_whoever_its_candidates_were_of(tmp_path: Path) -> None:
    """Nothing in it says whose they were, also not how many users they were of: everybody's keys are others."""
    stream = outputs(120)
    asking = stream[-1][1].samples[0].user

    def renamed(record: SampleRecord, salt: int) -> SampleRecord:
        return record if record.user == asking else msgspec.structs.replace(record, user=record.user ^ salt)

    def batch(salt: int) -> bytes:
        samples = [renamed(record, salt) for _, output in stream[:-1] for record in output.samples]
        query = Query(
            user_id="ann",
            user=asking,
            seq=1,
            before_ms=EventMs(10_000 * MINUTE_MS),
            produced_ms=NOW_MS,
            reason="request",
            history_item=b"",
            history_category=b"",
        )
        with Pool.open(tmp_path / str(salt), PoolSpec()) as pool:
            shard = Shard(pool, 0, matching())
            (reply,) = shard.handle([Work(0, samples, [query])], model(), STEADY_MS).replies
        ((_, found),) = GatherState().handle([reply], Merge(1, 4), 0, steady_ms=0).batches
        assert len(found.matched) and len(found.random)
        return encode_batch(replace(found, matched_ms=0))

    assert batch(0) == batch(0x5555) == batch(0x7777_0000)
