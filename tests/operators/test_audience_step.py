import pickle
from datetime import UTC, datetime
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow

from monitor.metrics import Metrics
from operators.audience_step import Asking, AudienceLogic, Enough, Heard, audience_step, split
from operators.placement import shard_key
from operators.residents import Meter, Residents
from operators.saved_states import Saved
from operators.shard_items import STAY, ShardItems, Through
from operators.user import Query, UserOutput
from streams.simulation.engine import Engine
from streams.simulation.snapshots import Snapshots
from tests.operators.in_memory import InMemory
from tests.operators.test_audience import sample
from tests.streams.simulation.test_engine import Collected, Listed
from wire.moments import EventMs, WallMs


class Worker:
    """Opens the items of shards, which are saved in memory."""

    def __init__(self, min_users: int = 3, saved: dict[int, InMemory] | None = None) -> None:
        self.min_users = min_users
        self.saved = {} if saved is None else saved
        self.metrics = Metrics()

    def open(self, shard: int, checkpoint: int | None, through: Through) -> ShardItems:
        return ShardItems(
            self.saved.setdefault(shard, InMemory()),
            checkpoint,
            self.min_users,
            residents=Residents(STAY, Meter.of_items(self.metrics, self.metrics.items.set)),
            through=through,
            metrics=self.metrics,
        )

    def flow(self, batches: dict[str, Any], sink: Collected, shards: int = 1) -> Dataflow:
        flow = Dataflow("audience")
        came: Any = op.input("in", flow, Listed(batches, None))
        out = audience_step(
            "audience", came, self.min_users, shards=shards, workers=2, open_items=self.open, metrics=self.metrics
        )
        op.output("out", op.map("tag", out, lambda item: ("all", item[1])), sink)
        return flow


def run(flows: list[Dataflow], snapshots: Snapshots) -> None:
    engine = Engine(flows, snapshots, 0, now=lambda: datetime.now(UTC), steady_ms=lambda: 0)
    while not engine.ended:
        for number in range(len(flows)):
            engine.step(number)


def stream(number: int) -> Any:
    """Samples of one item by so many users, one after the other."""
    return [[(f"user-{n}", UserOutput([sample(n, n)], [], [], 0))] for n in range(number)]


@pytest.mark.parametrize("worker", [0, 1])
def test_samples_of_an_item_that_is_through_go_to_no_other_worker(worker: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    on_batch = AudienceLogic.on_batch

    def noted(logic: AudienceLogic, values: list[Asking]) -> Any:
        asked.extend(sample.sample for value in values for sample in value.samples)
        return on_batch(logic, values)

    monkeypatch.setattr(AudienceLogic, "on_batch", noted)
    sink = Collected()
    run([Worker().flow({str(worker): stream(20), str(1 - worker): []}, sink) for _ in range(2)], Snapshots())
    given = [each.sample for output in sink.got for each in (*output.samples, *output.waited)]
    assert sorted(given) == list(range(20))
    assert asked == list(range(3)), "three users are enough, and from then on everybody knows"


@pytest.mark.parametrize("fewer", [2, 1])
def test_after_a_restart_with_fewer_users_what_waited_goes_on(fewer: int) -> None:
    snapshots, sink, before = Snapshots(), Collected(), Worker()
    run([before.flow({"0": stream(2)}, sink)], snapshots)
    assert not [each for output in sink.got for each in output.waited], "three users are to take it"
    after = Worker(fewer, before.saved)
    run([after.flow({"1": [[], [], []]}, sink)], snapshots)
    assert [each.sample for output in sink.got for each in output.waited] == [0, 1]
    assert after.metrics.value(Metrics.samples_waiting) == 0
    run([Worker(fewer, before.saved).flow({"1": [[], [], []]}, sink)], snapshots)
    assert [each.sample for output in sink.got for each in output.waited] == [0, 1], "once"


def test_a_dataflow_that_begins_anew_in_its_process_counts_who_waits_once() -> None:
    snapshots, worker = Snapshots(), Worker()
    parts: list[dict[str, Any]] = [{"0": stream(2)}, {"1": [[], [], []]}]
    for batches in parts:
        run([worker.flow(batches, Collected())], snapshots)
        assert worker.metrics.value(Metrics.samples_waiting) == 2


def test_bytewax_keeps_one_state_for_each_shard_whatever_items_there_are() -> None:
    snapshots, worker = Snapshots(), Worker(min_users=2)
    batch = [("ann", UserOutput([sample(n, n, item=n) for n in range(100)], [], [], 0))]
    run([worker.flow({"0": [batch]}, Collected(), shards=3)], snapshots)
    kept = dict(snapshots.of("audience.audience"))
    assert kept == {shard_key(shard, 3): Saved(shard, 1) for shard in range(3)}
    assert sum(len(saved.checkpoints[-1]) for saved in worker.saved.values()) == 100


def test_samples_whose_item_is_through_and_queries_pass_and_others_ask_at_the_shard_of_their_item() -> None:
    came = dict[int, None]()
    query = Query(
        user_id="ann",
        user=1,
        seq=1,
        before_ms=EventMs(0),
        produced_ms=WallMs(0),
        reason="connected",
        history_item=b"",
        history_category=b"",
    )
    samples = [sample(n, 1, item=item) for n, item in enumerate((4, 5, 6, 8, 4))]
    parts = split([("ann", UserOutput(samples, [query], [], 1)), ("bob", UserOutput([], [], [], 0))], 2, {4: came}, {5})
    assert parts == [
        ("ann", UserOutput([samples[0], samples[1], samples[4]], [query], [], 0)),
        (shard_key(0, 2), Asking(0, [samples[2], samples[3]])),
    ]
    assert list(came) == [4]


def test_what_crosses_to_another_worker_arrives_as_it_was() -> None:
    asking = Asking(1, [sample(1, 2), sample(3, 4)])
    assert pickle.loads(pickle.dumps(asking)) == asking


def test_what_is_heard_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operators.audience_step.STAY", STAY._replace(most=3))
    items: set[int] = set()
    for n in range(10):
        Heard(items).on_batch([Enough([n])])
        assert n in items
        assert len(items) <= 3
