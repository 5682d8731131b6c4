"""A fleet stepped by hand: no thread, no loop, and time that passes when the test says so."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from device_sim import topics
from device_sim.one_of import ALONE, OneOf, all_of
from device_sim.record import TRAININGS
from models.artefact import model_to_bytes
from monitor.metrics import Metrics
from streams.fleet.hands import Hands
from streams.fleet.orders import EVERYONE, Orders, Standing, begun
from streams.fleet.service import SNAPSHOT_MS, TICK_MS, FleetService
from streams.fleet.settings import FleetSettings, Own
from streams.home import settle
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.topics import BEHAVIOUR, EVENTS, FLEET_GROUP
from tests.at_once import AtOnce
from tests.clock import HandClock
from tests.device_sim.memory_link import MemoryBroker, MemoryLink
from tests.streams.fleet.world import TASK, cloud_model, history_of
from wire.errors import ConnectionFailed, InputError
from wire.event import decode_event, encode_event
from wire.signing import PUBLIC, keys_in, sign_model, sign_task
from wire.task import ARMS
from wire.telemetry import Receipt, encode_report

TURNS = 10
NOW_MS = 1_700_000_000_000


class World:
    """A bus with events, a broker with a model and a task, and a fleet between them."""

    def __init__(self, kafka: KafkaSettings, folder: Path) -> None:
        self.bus, self.broker, self.clock, self.folder = KafkaBus(kafka), MemoryBroker(), HandClock(NOW_MS), folder
        private, _ = keys_in(folder / "keys")
        self.broker.publish(topics.MODEL, sign_model(model_to_bytes(cloud_model(1)), private), retain=True)
        self.broker.publish(topics.TASK, sign_task(TASK, private), retain=True)
        for name in ("state", "out"):
            (folder / name).mkdir()

    def behave(self, first: int, count: int, topic: str = EVENTS, user: str = "ann") -> None:
        producer = self.bus.producer()
        producer.send_many(topic, [user] * count, [encode_event(event) for event in history_of(user, first, count)])
        producer.flush(10)

    def fleet(self, own: Own = "events", orders: Orders = EVERYONE, one_of: OneOf = ALONE) -> FleetService:
        state, out = (one_of.folder(self.folder / name) for name in ("state", "out"))
        key = self.folder / "keys" / PUBLIC
        settings = FleetSettings(own, None, state, out, key, 1, orders, one_of=one_of)
        hands = Hands(AtOnce(), AtOnce(), AtOnce(), cpu_s=lambda: 0.0)
        return FleetService(settings, self.bus, MemoryLink(self.broker), self.clock, hands=hands, metrics=Metrics())

    def run(self, fleet: FleetService, events: int) -> None:
        """Rounds of 100 ms until so many events are predicted."""
        for _ in range(300):
            fleet.step(fleet.poll())
            self.clock.passes(100)
            if len(fleet.board.scores()) == events:
                return
        pytest.fail(f"{len(fleet.board.scores())} of {events} events predicted")

    def end(self, fleet: FleetService) -> None:
        while not fleet.finish():
            self.clock.passes(10)


@pytest.fixture
def world(kafka: KafkaSettings, tmp_path: Path) -> World:
    return World(kafka, tmp_path)


def test_it_predicts_trains_and_ends_in_steps_and_goes_on_from_its_snapshot(world: World) -> None:
    world.behave(0, 30)
    with closing(world.fleet()) as fleet:
        world.run(fleet, 30)
        world.clock.passes(TICK_MS)
        fleet.step([])
        world.end(fleet)
        assert fleet.fleet.counts["trainings", "accepted"] > 0
        assert fleet.result()["events"] == 30
    world.behave(20, 20)  # ten of them again
    with closing(world.fleet()) as again:
        world.run(again, 40)
        world.end(again)
        assert again.fleet.counts["events", "duplicate"] == 10


def test_how_far_trainings_are_stands_still_while_somebody_waits(world: World) -> None:
    world.behave(0, 30)
    seen = []
    with closing(world.fleet()) as fleet:
        for _ in range(60):
            fleet.step(fleet.poll())
            world.clock.passes(100)
            frontier = fleet.trained.frontiers[0]
            seen.append((frontier.behind, world.clock.wall_ms() - frontier.until_ms))
    assert {age_ms for left, age_ms in seen if not left} == {0}
    assert all(age_ms > 0 for left, age_ms in seen if left) and any(left for left, _ in seen)
    assert seen[-1] == (0, 0)


def test_what_was_done_is_told_after_it_is_in_a_snapshot(world: World) -> None:
    world.behave(0, 10)
    with closing(world.fleet()) as fleet, closing(world.bus.group(FLEET_GROUP)) as group:
        world.run(fleet, 10)
        world.clock.passes(SNAPSHOT_MS)
        fleet.step([])
        assert sum(group.lag(EVENTS).values()) == 0


def test_while_a_snapshot_waits_for_devices_a_round_takes_fewer_events(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.fleet.service.POLL_IN_SNAPSHOT", 5)
    world.behave(0, 20)
    with closing(world.fleet()) as fleet:
        world.run(fleet, 20)
        world.behave(20, 200)
        assert max(len(fleet.poll()) for _ in range(20)) > 5
        fleet.fleet.changes.touch("ann")
        fleet.fleet.changes.begin()
        world.behave(220, 50)
        assert 0 < max(len(fleet.poll()) for _ in range(20)) <= 5
        fleet.fleet.changes.go_on(1)
        world.behave(270, 200)
        assert max(len(fleet.poll()) for _ in range(20)) > 5


def test_a_device_whose_clock_is_wrong_stamps_its_events_by_it(world: World) -> None:
    world.behave(0, 5, BEHAVIOUR)
    wrong = begun({"clock": "3h", "starts": "0h"}, "here", 1, NOW_MS)
    off_ms = round(1000 * wrong.population.clock_off_s("ann"))
    with closing(world.fleet("behaviour", Standing([wrong]))) as fleet:
        world.run(fleet, 5)
        for _ in range(3):
            fleet.step([])
            world.clock.passes(100)
            sent = [decode_event(raw) for topic, raw in world.broker.published if topic == topics.events("ann")]
            receipt = Receipt(tuple(event.event_id for event in sent))
            world.broker.publish(topics.receipts("ann"), encode_report(receipt))
    assert {event.event_id: event.timestamp for event in sent} == {
        event.event_id: event.timestamp + off_ms for event in history_of("ann", 0, 5)
    }


def test_a_device_that_is_not_available_predicts_and_does_not_train(world: World) -> None:
    world.behave(0, 30)
    with closing(world.fleet(orders=Standing([begun({"availability": 0}, "here", 1, NOW_MS)]))) as fleet:
        world.run(fleet, 30)
        assert not [end for (what, end) in fleet.fleet.counts if what == "trainings"]
        assert fleet.fleet.counts["attendances", "put_off"] == 1


def test_without_a_topic_of_events_it_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KafkaBus, "bounds", lambda *_: {})
    with closing(world.fleet()) as fleet, pytest.raises(ConnectionFailed, match="no topic events"):
        for _ in range(2):
            fleet.step(fleet.poll())


def test_two_processes_predict_what_one_does(world: World) -> None:
    """In turns of three events a user, with trainings between them: who trained on what is then the same."""
    users = [f"user-{n}" for n in range(12)]
    fleets = [world.fleet(one_of=one) for one in (ALONE, *all_of(2))]
    with closing(fleets[0]), closing(fleets[1]), closing(fleets[2]), closing(world.bus.group(FLEET_GROUP)) as group:
        for turn in range(TURNS):
            for user in users:
                world.behave(3 * turn, 3, user=user)
            for _ in range(12):
                for fleet in fleets:
                    fleet.step(fleet.poll())
                world.clock.passes(100)
        for fleet in fleets:
            world.end(fleet)
        assert sum(group.lag(EVENTS).values()) == 0
    one, *two = ({(d, e): p for d, e, p in said(fleet)} for fleet in fleets)
    assert one.keys() == two[0].keys() | two[1].keys() and len(one) == 3 * TURNS * len(users)
    has = [{user for user, _ in each} for each in two]
    assert has[0] and has[1] and not has[0] & has[1], "each user has one device, and both processes have some"
    for event, arms in (two[0] | two[1]).items():
        assert arms == pytest.approx(one[event], abs=1e-6), event
    trained = [[(t["user_id"], t["own_rows"]) for t in trainings_of(fleet)] for fleet in fleets]
    assert sorted(trained[0]) == sorted(trained[1] + trained[2]) and len(trained[0]) >= len(users)
    cloud, local = ARMS.index("cloud"), ARMS.index("local")
    assert any(arms[local] != pytest.approx(arms[cloud], abs=1e-3) for arms in one.values()), "what they trained tells"


def said(fleet: FleetService) -> list[tuple[str, str, list[float]]]:
    frame = pl.read_parquet(fleet.board.merge())
    return list(zip(frame["user_id"], frame["event_id"], frame.select(ARMS).to_numpy().tolist(), strict=True))


def trainings_of(fleet: FleetService) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (fleet.board.merge().parent / TRAININGS).read_text().splitlines()]


def test_a_folder_in_which_something_else_keeps_its_state_is_refused_and_left_as_it_was(world: World) -> None:
    settle(world.folder / "state", world.bus.home([EVENTS]), "")
    before = sorted((world.folder / "state").iterdir())
    with pytest.raises(InputError, match="holds the state of something else and no fleet's: give another --state"):
        world.fleet()
    assert sorted((world.folder / "state").iterdir()) == before
