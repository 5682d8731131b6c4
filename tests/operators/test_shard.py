from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from index.pool import Pool
from index.spec import PoolSpec
from models.sample import decode_samples
from models.signature import KEY_DIM
from operators.encode import encode
from operators.gather import GatherState, Merge
from operators.placement import shard_key
from operators.shard import (
    Shard,
    Work,
    route,
)
from operators.user import Query, UserOutput
from tests.operators.sharded import MINUTE_MS, NOW_MS, STEADY_MS, contents, matching, model, outputs, run
from wire.batch import encode_packed
from wire.errors import VectorError
from wire.ids import user_key
from wire.moments import EventMs
from wire.sample import SampleRecord


def test_samples_go_to_the_shard_of_their_key_and_queries_to_all() -> None:
    stream = outputs(40)
    works = dict(route(stream, 3))
    assert sorted(works) == sorted(shard_key(n, 3) for n in range(3))
    for key, work in works.items():
        assert key == shard_key(work.shard, 3)
        assert all(record.sample % 3 == work.shard for record in work.samples)
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
        assert found.matched and found.random
        return encode_packed(found)

    assert batch(0) == batch(0x5555) == batch(0x7777_0000)
