"""The dataflow as users meet it: `coda flow` as a process, Kafka beside it, signals, crashes and restarts."""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from index.pool import Pool
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import MODELS, REQUESTS
from tests.streams.flow.world import START_MS, Flow, World, event, keys, rows, stream, wait_until
from wire.canary import canary_id
from wire.candidates import CandidateBatch
from wire.event import Event
from wire.ids import item_key, user_key


@pytest.fixture
def world() -> Iterator[World]:
    with EmbeddedKafka() as kafka:
        yield World(kafka.bootstrap)


def test_every_event_is_pooled_or_rejected_with_its_reason(world: World, tmp_path: Path) -> None:
    good = stream(300)
    world.publish()
    world.send(good)
    world.send(good[:5])  # duplicates
    late = event(900, "user-0", timestamp=START_MS - 10_000_000)
    future = event(901, "user-0", timestamp=9_000_000_000_000)
    world.send([late, future])
    world.send_raw(b"garbage")
    world.send_raw(b"no request", REQUESTS)
    world.ask(["user-1", "nobody"])
    with Flow(world, tmp_path) as flow:
        world.drained()
        assert flow.stop() == 130
    assert set(flow.pooled()) == keys(good) and len(flow.pooled()) == len(good)
    assert set(world.samples().sample.tolist()) == keys(good)
    reasons = sorted(reason.split(":")[0].split(" ")[0] for reason in world.dead_letters().values())
    assert reasons == ["ahead", "late", "malformed", "malformed"]
    batches = world.batches()
    assert {batch.user_id for batch in batches} == {e.user_id for e in good}
    last = {batch.user_id: batch for batch in batches}["user-1"]
    assert last.version == 1 and last.query_timestamp == max(e.timestamp for e in good if e.user_id == "user-1") + 1
    own = {item_key(e.item_id) for e in good if e.user_id == "user-1"}
    assert set(last.matched.item.tolist()) != own and (last.matched.age_s > 0).all()
    assert user_key("user-1") in world.samples().user


def test_a_canary_is_answered_by_its_number_and_counts_nowhere(world: World, tmp_path: Path) -> None:
    canary = canary_id("one")
    world.publish()
    world.send(stream(60))
    world.ask([canary], newest_seq=40)
    world.ask([canary], newest_seq=41)
    with Flow(world, tmp_path) as flow:
        world.drained()
        wait_until(lambda: any(batch.batch_seq == 42 for batch in world.batches()), "the canary's answer")
        assert flow.stop() == 130
    mine = [batch for batch in world.batches() if batch.user_id == canary]
    assert {batch.batch_seq for batch in mine} <= {41, 42}
    assert all(len(batch.matched) == len(batch.random) == 0 for batch in mine), "nobody's samples"
    assert f" {len(world.batches()) - len(mine)} matched" in flow.said() and len(flow.pooled()) == 60


def asked(world: World) -> CandidateBatch:
    """What comes of one more question."""
    world.ask(["user-0"])
    world.drained()
    return [batch for batch in world.batches() if batch.user_id == "user-0"][-1]


def test_waits_for_the_first_model_and_follows_the_next_one(world: World, tmp_path: Path) -> None:
    world.send(stream(50))
    with Flow(world, tmp_path) as flow:
        wait_until(lambda: "waiting for the first cloud model" in flow.said(), "a word about the model")
        world.send_raw(b"no model at all", MODELS)
        wait_until(lambda: "passed over" in flow.said(), "a word about the broken model")
        assert world.batches() == []
        world.publish(version=1)
        world.drained()
        world.publish(version=2)
        wait_until(lambda: "version=2" in flow.said(), "the new version")
        wait_until(lambda: asked(world).version == 2, "a batch by it: the pool is encoded between questions")
        assert flow.stop() == 130
    batches = [batch for batch in world.batches() if batch.user_id == "user-0"]
    assert {batch.version for batch in batches[:-1]} == {1} and batches[-1].version == 2
    assert len(batches[-1].matched) > 0  # what was pooled by version 1 was encoded again


def test_a_second_lineage_on_the_topic_is_refused_until_it_says_whose_place_it_takes(
    world: World, tmp_path: Path
) -> None:
    """Both are number 1: what one of them encoded never answers what the other one asks, across a restart too."""
    old, new = "00000000000000aa", "00000000000000bb"
    world.publish(1, old)
    world.send(stream(50))
    with Flow(world, tmp_path) as flow:
        world.drained()
        world.publish(1, new)
        wait_until(lambda: "passed over models" in flow.said(), "the other lineage to be refused")
        assert flow.stop() == 130
        world.publish(2, old)  # the topic goes on as before: its newest is of the lineage in the pool
        world.publish(1, new)
        flow.start()
        wait_until(lambda: flow.said().count("passed over models") >= 3, "the restarted one to refuse as well")
        world.ask(["user-0"])
        world.drained()
        world.publish(1, new, (old,))
        wait_until(lambda: flow.said().count("version=1") >= 2, "the lineage that may follow")
        wait_until(lambda: asked(world).model.lineage == new, "a batch by it: the pool is encoded between questions")
        assert flow.stop() == 130
    models = [batch.model for batch in world.batches() if batch.user_id == "user-0"]
    assert [(model.lineage, model.version) for model in models[-2:]] == [(old, 2), (new, 1)]
    with Pool.open(tmp_path / "pool/shard-0-of-1", read_only=True) as pool:
        assert pool.model == models[-1] and len(pool) == 50


def test_a_second_run_goes_on_where_the_first_was_interrupted(world: World, tmp_path: Path) -> None:
    world.publish()
    world.send(stream(100))
    with Flow(world, tmp_path) as flow:
        world.drained()
        assert flow.stop() == 130
        world.send(stream(50, first=100))
        flow.start()
        world.drained()
        assert flow.stop() == 130
    assert len(world.samples()) == 150  # nothing twice
    assert set(flow.pooled()) == keys(stream(100)) | keys(stream(50, first=100))
    seqs = [(batch.user_id, batch.batch_seq) for batch in world.batches()]
    assert len(set(seqs)) == len(seqs)


def test_an_event_that_is_held_survives_the_dataflow_that_holds_it(world: World, tmp_path: Path) -> None:
    ahead = event(500, "user-0", timestamp=START_MS + 86_400_000)
    world.publish()
    world.send([*stream(100), ahead])
    with Flow(world, tmp_path) as flow:
        world.drained()
        assert flow.stop() == 130
        assert set(flow.pooled()) == keys(stream(100)), "it waits for others to get there"
        flow.start()
        wait_until(lambda: len(world.samples()) == 101, "what nobody contradicts")
        assert flow.stop() == 130
    assert set(flow.pooled()) == keys([*stream(100), ahead]) and not world.dead_letters()


def test_kill_minus_nine_loses_nothing_and_pools_nothing_twice(world: World, tmp_path: Path) -> None:
    rng = random.Random(1)
    world.publish()
    events = stream(1500, users=40)
    with Flow(world, tmp_path) as flow:
        for start in range(0, 1500, 500):
            for at in range(start, start + 500, 50):
                world.send(events[at : at + 50])
                time.sleep(0.02)
            if start == 0:
                wait_until(lambda: world.lag() < 500, "the dataflow to begin")
            time.sleep(rng.random() * 0.5)
            flow.kill()
            flow.start()
        world.drained()
        assert flow.stop() == 130
    assert sorted(flow.pooled()) == sorted(keys(events))
    assert set(world.samples().sample.tolist()) == keys(events)
    # Features do not depend on crashes either: what was sent twice was sent the same.
    block = world.samples()
    seen: dict[int, bytes] = {}
    for sample, history in zip(block.sample.tolist(), block.history_item, strict=True):
        assert seen.setdefault(sample, history.tobytes()) == history.tobytes()


def test_a_power_cut_takes_no_row_whose_event_is_not_read_again(world: World, tmp_path: Path) -> None:
    world.publish()
    events = stream(600, users=40)
    with Flow(world, tmp_path, module="tests.streams.flow.forgetful") as flow:
        for at in range(0, 400, 20):
            world.send(events[at : at + 20])
            time.sleep(0.05)
        wait_until(lambda: world.lag() < 200, "the dataflow to be halfway")
        flow.kill()
        shutil.rmtree(tmp_path / "pool")
        (tmp_path / "pool.synced").rename(tmp_path / "pool")
        world.send(events[400:])
        flow.start()
        world.drained()
        assert flow.stop() == 130
    assert sorted(flow.pooled()) == sorted(keys(events))


def test_a_pool_that_has_lost_rows_is_not_gone_on_with(world: World, tmp_path: Path) -> None:
    world.publish()
    world.send(stream(100))
    with Flow(world, tmp_path) as flow:
        world.drained()
        assert flow.stop() == 130
        for file in (tmp_path / "pool" / "shard-0-of-1").glob("*.log"):
            file.unlink()
        for file in (tmp_path / "pool" / "shard-0-of-1").glob("*.sst"):
            file.unlink()
        world.send(stream(50, first=100))
        flow.start()
        assert flow.ended() == 1
    assert "coda: pool" in flow.said().splitlines()[-1]


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside), other.rename(one), aside.rename(other)


def test_folders_that_were_swapped_by_hand_are_refused_in_a_line_and_back_in_place_it_goes_on(
    world: World, tmp_path: Path
) -> None:
    """At equal checkpoints: of another state users, positions and pool all look as they should."""
    world.publish()
    world.send(stream(100))
    with Flow(world, tmp_path / "a", "--shards", "2") as flow:
        world.drained()
        assert flow.stop() == 130
    with Flow(world, tmp_path / "b", "--shards", "2") as other:
        wait_until(lambda: len(world.samples()) == 200, "the same once more")
        assert other.stop() == 130
    for kind, code in (("state/states", 2), ("pool/shard", 1)):
        mine = tmp_path / f"a/{kind}-0-of-2"
        for others, whose in ((f"a/{kind}-1-of-2", "shard 1 of 2"), (f"b/{kind}-0-of-2", "another state")):
            swap(mine, tmp_path / others)
            world.send(stream(20, first=100))
            flow.start()
            assert flow.ended() == code
            assert f"{mine} is that of {whose}: put each folder back where it was" in flow.said().splitlines()[-1]
            swap(mine, tmp_path / others)
    flow.start()
    world.drained()
    assert flow.stop() == 130
    assert sorted(flow.pooled()) == sorted(keys(stream(100) + stream(20, first=100)))


def last_moment(users: list[str]) -> list[Event]:
    """One event of each user, all at the same time."""
    return [event(1000 + n, user, timestamp=START_MS + 1_000_000) for n, user in enumerate(users)]


def answers(folder: Path, processes: int, *, kill_one: bool) -> tuple[list[int], dict[str, object]]:
    """What is pooled of one stream, and what every user gets who asks at its end.

    Who asks gets what is as new as the worker has seen event time come; all users have the last moment in common.
    """
    users = [f"user-{n}" for n in range(12)]
    with EmbeddedKafka() as kafka:
        world = World(kafka.bootstrap)
        world.publish()
        world.send(stream(400))
        # With more candidates the first samples of users would be drawn in, whose empty histories are all alike.
        few = ("--candidates", "200")
        with Flow(world, folder, "--shards", "2", "--processes", str(processes), *few) as flow:
            wait_until(lambda: world.lag() < 400, "the dataflow to begin")
            if kill_one:
                os.kill(flow.children()[0], signal.SIGKILL)
                wait_until(lambda: "restarting all" in flow.said(), "the restart")
            world.drained()
            world.send(last_moment(users))
            wait_until(lambda: len(set(world.samples().sample.tolist())) == 400 + len(users), "all to be pooled")
            world.ask(users)
            world.drained()
            assert flow.stop() == 130
        newest = {batch.user_id: batch for batch in world.batches()}
        return sorted(flow.pooled()), {u: (rows(newest[u].matched), rows(newest[u].random)) for u in users}


def test_one_process_and_two_of_which_one_dies_give_the_same_pool_and_candidates(tmp_path: Path) -> None:
    alone = answers(tmp_path / "one", 1, kill_one=False)
    together = answers(tmp_path / "two", 2, kill_one=True)
    assert alone[0] == together[0] == sorted(keys(stream(400)) | keys(last_moment([f"user-{n}" for n in range(12)])))
    assert alone[1] == together[1]


def test_more_processes_and_fewer_go_on_with_the_same_state(world: World, tmp_path: Path) -> None:
    world.publish()
    events = stream(300)
    for first, processes in enumerate((2, 3, 1)):
        world.send(events[100 * first : 100 * first + 100])
        with Flow(world, tmp_path, "--shards", "6", "--processes", str(processes)) as flow:
            world.drained()
            assert flow.stop() == 130
    assert sorted(flow.pooled()) == sorted(keys(events)) == sorted(world.samples().sample.tolist())


def test_samples_of_items_that_few_took_wait_on_all_workers_and_over_a_crash(world: World, tmp_path: Path) -> None:
    rng = random.Random(1)
    events = [event(n, f"user-{rng.randrange(6)}") for n in range(150)]  # three of each item
    takers = {item: {e.user_id for e in events if e.item_id == item} for item in {e.item_id for e in events}}
    enough = keys(e for e in events if len(takers[e.item_id]) >= 3)
    assert 20 < len(enough) < 130
    world.publish()
    world.send(events[:75])
    with Flow(world, tmp_path, "--min-users", "3", "--shards", "4", "--processes", "2") as flow:
        world.drained()
        os.kill(flow.children()[0], signal.SIGKILL)
        world.send(events[75:])
        world.drained()
        assert flow.stop() == 130
    assert set(flow.pooled()) == enough and set(world.samples().sample.tolist()) == enough
