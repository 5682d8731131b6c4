from itertools import permutations

import bytewax.operators as op
import numpy as np
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

from index.scored import Scored
from monitor.metrics import Metrics
from operators.gather import PATIENCE_MS, GatherLogic, GatherState, Merge, Reply, gather_step
from tests.clock import HandClock
from wire.batch import PackedBatch
from wire.candidates import Candidates
from wire.identity import ModelId

TWO = Merge(shards=2, per_label=2)
NOW_MS = 10_000
Row = tuple[int, int, float]  # item, label, score
LEFT: list[Row] = [(1, 0, 0.9), (2, 0, 0.1), (3, 1, 0.3), (4, 1, -0.2)]
RIGHT: list[Row] = [(5, 0, 0.5), (6, 0, 0.4), (7, 1, 0.8)]


def scored(*rows: Row) -> Scored:
    item, label = (np.array([row[n] for row in rows], np.uint32) for n in (0, 1))
    bits = label.astype(np.uint8)
    candidates = Candidates(np.zeros(len(rows), np.float16), item, item, bits, bits, item)
    return Scored.of(candidates, np.array([row[2] for row in rows], np.float64))


def reply(shard: int, seq: int = 1, version: int = 1, matched: Scored | None = None) -> Reply:
    matched = scored((seq * 10 + shard, 0, 0.5)) if matched is None else matched
    return Reply(
        user_id="ann",
        seq=seq,
        before_ms=500,
        produced_ms=7,
        reason="samples",
        shard=shard,
        model=ModelId("", version),
        matched=matched,
        random=matched,
    )


def items(state: GatherState, *replies: Reply, merge: Merge = TWO) -> list[list[int]]:
    return [batch.unpacked().matched.item.tolist() for _, batch in state.handle(replies, merge, NOW_MS, 0).batches]


def test_one_shard_answers_at_once() -> None:
    ((reason, batch),) = GatherState().handle([reply(0)], Merge(1, 2), NOW_MS, 0).batches
    assert reason == "samples"
    assert (batch.user_id, batch.batch_seq, batch.model.version) == ("ann", 1, 1)
    assert (batch.query_timestamp, batch.produced_ms, batch.matched_ms) == (500, 7, NOW_MS)


def test_the_best_of_each_label_from_all_shards() -> None:
    for order in permutations([reply(0, matched=scored(*LEFT)), reply(1, matched=scored(*RIGHT))]):
        assert items(GatherState(), *order) == [[1, 5, 7, 3]]


@pytest.mark.parametrize("parts", [[LEFT], [LEFT, RIGHT], [RIGHT, LEFT], [LEFT, []], [[], []]])
def test_similarity_stays_with_its_sample(parts: list[list[Row]]) -> None:
    replies = [reply(shard, matched=scored(*rows)) for shard, rows in enumerate(parts)]
    ((_, batch),) = GatherState().handle(replies, Merge(len(parts), 2), NOW_MS, 0).batches
    score = {item: score for rows in parts for item, _, score in rows}
    found = batch.unpacked()
    steps = np.rint(127 * found.similarity.astype(np.float64))
    assert steps.tolist() == [np.rint(127 * score[item]) for item in found.matched.item.tolist()]


def test_waits_for_every_shard() -> None:
    state = GatherState()
    assert items(state, reply(0)) == []
    assert items(state, reply(1)) == [[10, 11]]
    assert items(state, reply(0), reply(1)) == []  # answered already


def test_answers_of_different_versions_never_mix() -> None:
    state = GatherState()
    assert items(state, reply(0, version=1), reply(1, version=2)) == []
    ((_, batch),) = state.handle([reply(0, version=2)], TWO, NOW_MS, 0).batches  # the slower shard answers again
    assert batch.model.version == 2
    assert not state.waiting


def test_a_newer_query_that_is_complete_gives_up_the_older() -> None:
    state = GatherState()
    gathered = state.handle([reply(0, 1), reply(0, 2), reply(1, 2), reply(1, 1)], TWO, NOW_MS, 0)
    assert [batch.batch_seq for _, batch in gathered.batches] == [2] and gathered.given_up == {"superseded": 1}


@pytest.mark.parametrize(
    ("answers", "reason"), [([reply(0)], "shards"), ([reply(0, version=1), reply(1, version=2)], "versions")]
)
def test_a_query_that_is_never_complete_is_given_up_and_counted(answers: list[Reply], reason: str) -> None:
    state = GatherState()
    assert items(state, *answers) == []
    assert not state.handle([], TWO, NOW_MS, PATIENCE_MS - 1).given_up
    assert state.handle([], TWO, NOW_MS, PATIENCE_MS).given_up == {reason: 1}
    assert not state.waiting


def test_newer_queries_do_not_lengthen_the_patience_with_older_ones() -> None:
    state, given_up = GatherState(), 0
    for step in range(30):  # one query per 10 s for five minutes, and only one shard ever answers
        gathered = state.handle([reply(0, seq=1 + step)], TWO, NOW_MS, 10_000 * step)
        given_up += gathered.given_up["shards"]
        assert state.patience_ms(10_000 * step) <= PATIENCE_MS
    assert given_up == 24 and len(state.waiting) == 6


def test_an_answer_after_giving_up_changes_nothing() -> None:
    state = GatherState()
    state.handle([reply(0)], TWO, NOW_MS, 0)
    state.handle([], TWO, NOW_MS, PATIENCE_MS)
    assert items(state, reply(0), reply(1)) == [] and not state.waiting


def test_whose_numbers_fell_is_heard_again_once_nothing_else_came_for_two_patiences() -> None:
    """A canary's are its clock's, which may be set back; it goes on asking, and nothing else would ever forget it."""
    state = GatherState()
    assert items(state, reply(0, seq=10**6), reply(1, seq=10**6))
    for step in range(1, 12):
        at_ms = 10_000 * step
        assert not state.handle([reply(0, seq=step), reply(1, seq=step)], TWO, NOW_MS, at_ms).batches
        assert not state.finished(at_ms)
    state.handle([reply(0, seq=12), reply(1, seq=12)], TWO, NOW_MS, 2 * PATIENCE_MS)
    assert state.finished(2 * PATIENCE_MS), "and who comes next begins anew"


def test_patience_begins_anew_after_a_restart() -> None:
    state = GatherState()
    state.handle([reply(0)], TWO, NOW_MS, 5_000_000)
    state = GatherState.restore(state.snapshot(), steady_ms=7)  # another machine's clock
    assert state.patience_ms(7) == PATIENCE_MS


def test_the_dataflow_wakes_for_the_oldest_query_however_many_answers_come() -> None:
    clock = HandClock(NOW_MS, 0)
    logic = GatherLogic(None, TWO, clock, Metrics())
    logic.on_batch([reply(0, seq=1)])
    first = logic.notify_at()
    assert first is not None
    clock.steady = PATIENCE_MS - 1000
    logic.on_batch([reply(0, seq=2)])
    second = logic.notify_at()
    assert second is not None and second < first
    clock.steady = PATIENCE_MS
    assert logic.on_notify() == ([], logic.RETAIN)
    third = logic.notify_at()
    assert third is not None and third > second


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_a_crash_between_answers_changes_nothing(cut: int) -> None:
    replies = [reply(0, 1), reply(1, 1), reply(1, 2), reply(0, 2)]
    state = GatherState()
    before = items(state, *replies[:cut])
    state = GatherState.restore(state.snapshot(), 0)
    assert before + items(state, *replies[cut:]) == [[10, 11], [20, 21]]


def test_with_one_shard_the_dataflow_keeps_nothing_and_every_answer_is_a_batch() -> None:
    found: list[tuple[str, tuple[str, PackedBatch]]] = []
    flow = Dataflow("gather")
    replies = op.input("in", flow, TestingSource([("ann", reply(0, seq)) for seq in (1, 3, 2)]))
    batches = gather_step("gather", replies, Merge(1, 2), clock=HandClock(NOW_MS), metrics=Metrics())
    op.output("out", batches, TestingSink(found))
    run_main(flow)  # type: ignore[no-untyped-call]
    assert [(user, batch.batch_seq) for user, (_, batch) in found] == [("ann", 1), ("ann", 3), ("ann", 2)]
    alone = GatherState().handle([reply(0)], Merge(1, 2), NOW_MS, 0).batches[0][1]
    assert found[0][1][1].columns == alone.columns


def test_with_more_shards_a_user_is_forgotten_when_no_older_answer_can_come_any_more() -> None:
    """Shards answer again when they have switched to a new model: such an answer must not make an older batch."""
    clock = HandClock(NOW_MS, 0)
    logic = GatherLogic(None, TWO, clock, Metrics())
    batches, discard = logic.on_batch([reply(0, seq=2), reply(1, seq=2)])
    assert len(batches) == 1 and not discard and logic.notify_at() is not None
    clock.steady = PATIENCE_MS
    assert logic.on_batch([reply(0, seq=1), reply(1, seq=1)]) == ([], logic.RETAIN)
    clock.steady = 3 * PATIENCE_MS
    assert logic.on_notify() == ([], logic.DISCARD)
