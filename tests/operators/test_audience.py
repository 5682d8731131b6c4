from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import bytewax.operators as op
import numpy as np
import pytest
from bytewax.dataflow import Dataflow

from monitor.metrics import Metrics
from operators.audience import MOST_WAITING, STAY, Audience, AudienceLogic, Heard, Through, audience_step
from operators.residents import Leave, Meter, Residents, Stay
from operators.user import UserOutput
from streams.simulation.engine import Engine
from streams.simulation.snapshots import Snapshots
from tests.streams.simulation.test_engine import Collected, Listed
from wire.sample import SampleRecord

ITEM = 7


def sample(number: int, user: int, label: int = 1) -> SampleRecord:
    return SampleRecord(number, user, ITEM, 1, label, 0, 1000 + number, 0, b"", b"")


def residents_of_items(most: int, metrics: Metrics) -> Residents:
    return Residents(Stay(most=most, idle_ms=1 << 62), Meter.of_items(metrics))


def admitted(samples: list[SampleRecord], min_users: int = 3) -> set[int]:
    audience = Audience(ITEM)
    return {each.sample for one in samples for each in audience.admit([one], min_users)}


def test_samples_wait_until_enough_users_took_their_item_and_then_all_go_on() -> None:
    audience = Audience(ITEM)
    alone = [sample(1, 1), sample(2, 1), sample(3, 2), sample(4, 3, label=0)]
    assert list(audience.admit(alone, 3)) == [], "two took it, however often; the third was only shown it"
    assert [each.sample for each in audience.admit([sample(5, 4)], 3)] == [1, 2, 3, 4, 5]
    assert [each.sample for each in audience.admit([sample(6, 9, label=0)], 3)] == [6], "from then on, everything"


def test_what_is_admitted_in_the_end_does_not_depend_on_the_order() -> None:
    samples = [sample(1, 1), sample(2, 2), sample(3, 3, label=0), sample(4, 3), sample(5, 3)]
    assert {frozenset(admitted(list(order))) for order in permutations(samples)} == {frozenset({1, 2, 3, 4, 5})}


def test_one_user_is_enough_where_that_is_asked() -> None:
    assert admitted([sample(1, 1)], min_users=1) == {1}


def test_of_many_that_wait_the_newest_stay_and_the_others_are_counted() -> None:
    metrics = Metrics()
    logic = AudienceLogic(None, 2, residents_of_items(100, metrics), {}, metrics)
    for part in np.random.default_rng(0).permutation(200).reshape(4, 50).tolist():
        logic.on_batch([sample(n, 1) for n in part])
    assert metrics.value(Metrics.samples_waiting) == MOST_WAITING
    assert metrics.value(Metrics.rejected, reason="rare") == 200 - MOST_WAITING
    ((given, through), _) = logic.on_batch([sample(500, 2)])
    assert through == Through(ITEM)
    assert isinstance(given, UserOutput)
    assert {each.sample for each in given.waited} == {*range(200 - MOST_WAITING, 200), 500}
    assert metrics.value(Metrics.rejected, reason="rare") == 200 - MOST_WAITING, "who goes on is not forgotten"


def test_a_restart_forgets_nothing() -> None:
    audience = Audience(ITEM)
    audience.admit([sample(1, 1), sample(2, 2)], 3)
    again = Audience.restore(audience.snapshot())
    assert {each.sample for each in again.admit([sample(3, 3)], 3)} == {1, 2, 3}
    assert {each.sample for each in Audience.restore(again.snapshot()).admit([sample(4, 1)], 3)} == {4}


def test_in_a_dataflow_what_waits_is_shown_also_after_a_restart_and_items_are_let_go() -> None:
    metrics, after = Metrics(), Metrics()
    residents = residents_of_items(1, after)
    logic = AudienceLogic(None, 3, residents, {}, metrics)
    assert logic.on_batch([sample(1, 1), sample(2, 2)]) == ([], logic.RETAIN)
    assert metrics.value(Metrics.samples_waiting) == 2
    restored = AudienceLogic(logic.snapshot(), 3, residents, {}, after)
    assert after.value(Metrics.samples_waiting) == 2
    residents.active("8", 0)
    leaving = [key for key, value in residents.with_leaving([], 0) if isinstance(value, Leave)]
    assert leaving == [str(ITEM)]
    assert restored.on_batch([Leave()]) == ([], restored.DISCARD)
    assert (after.value(Metrics.samples_waiting), after.value(Metrics.rejected, reason="rare")) == (0, 2)


@pytest.mark.parametrize("back", [True, False])
def test_an_item_that_came_back_meanwhile_stays(back: bool) -> None:
    metrics = Metrics()
    residents = residents_of_items(1, metrics)
    through: dict[int, str] = {}
    logic = AudienceLogic(None, 2, residents, through, metrics)
    logic.on_batch([sample(1, 1)])
    residents.active("8", 0)
    residents.leaving(0)
    came: list[SampleRecord | Leave] = [sample(2, 2), Leave()] if back else [Leave()]
    given, stays = logic.on_batch(came)
    assert stays == (logic.RETAIN if back else logic.DISCARD)
    assert given == ([UserOutput([], [], [], 0, [sample(1, 1), sample(2, 2)]), Through(ITEM)] if back else [])
    assert set(through) == ({ITEM} if back else set()), "whose samples need not ask any more"


@pytest.mark.parametrize("worker", [0, 1])
def test_samples_of_an_item_that_is_through_go_to_no_other_worker(worker: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    on_batch = AudienceLogic.on_batch

    def noted(logic: AudienceLogic, values: list[SampleRecord | Leave]) -> Any:
        asked.extend(value.sample for value in values if isinstance(value, SampleRecord))
        return on_batch(logic, values)

    monkeypatch.setattr(AudienceLogic, "on_batch", noted)
    stream: Any = [[(f"user-{n}", UserOutput([sample(n, n)], [], [], 0))] for n in range(20)]
    sink = Collected()
    flows = [_flow({str(worker): stream, str(1 - worker): []}, sink) for _ in range(2)]
    engine = Engine(flows, Snapshots(), 0, now=lambda: datetime.now(UTC), steady_ms=lambda: 0)
    while not engine.ended:
        for number in range(2):
            engine.step(number)
    given = [each.sample for output in sink.got for each in (*output.samples, *output.waited)]
    assert sorted(given) == list(range(20))
    assert asked == list(range(3)), "three users are enough, and from then on everybody knows"


@pytest.mark.parametrize("fewer", [2, 1])
def test_after_a_restart_with_fewer_users_what_waited_goes_on(fewer: int) -> None:
    snapshots, sink = Snapshots(), Collected()
    stream: Any = [[(f"user-{n}", UserOutput([sample(n, n)], [], [], 0))] for n in range(2)]
    engine = Engine([_flow({"0": stream}, sink)], snapshots, 0, now=lambda: datetime.now(UTC), steady_ms=lambda: 0)
    while not engine.ended:
        engine.step(0)
    assert not [each for output in sink.got for each in output.waited], "three users are to take it"
    again: Any = [[], [], []]
    flow = _flow({"1": again}, sink, fewer)
    engine = Engine([flow], snapshots, 0, now=lambda: datetime.now(UTC), steady_ms=lambda: 0)
    while not engine.ended:
        engine.step(0)
    assert [each.sample for output in sink.got for each in output.waited] == [0, 1]


def test_a_dataflow_that_begins_anew_in_its_process_counts_who_waits_once() -> None:
    snapshots, metrics = Snapshots(), Metrics()
    stream: Any = [[(f"user-{n}", UserOutput([sample(n, n)], [], [], 0))] for n in range(2)]
    parts: list[Any] = [{"0": stream}, {"1": [[], [], []]}]
    for part in parts:
        flow = _flow(part, Collected(), metrics=metrics)
        engine = Engine([flow], snapshots, 0, now=lambda: datetime.now(UTC), steady_ms=lambda: 0)
        while not engine.ended:
            engine.step(0)
        assert metrics.value(Metrics.samples_waiting) == 2


def _flow(batches: dict[str, Any], sink: Collected, min_users: int = 3, metrics: Metrics | None = None) -> Dataflow:
    flow = Dataflow("audience")
    came: Any = op.input("in", flow, Listed(batches, None))
    out = audience_step("audience", came, min_users, 2, metrics=metrics or Metrics())
    op.output("out", op.map("tag", out, lambda item: ("all", item[1])), sink)
    return flow


def test_what_is_heard_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operators.audience.STAY", STAY._replace(most=3))
    items: set[int] = set()
    for n in range(10):
        Heard(items).on_batch([[n]])
        assert n in items
        assert len(items) <= 3
