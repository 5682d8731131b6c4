import time

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from streams.flow.blame import Blame
from streams.flow.lag import LagWatch
from streams.flow.source import Reader
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.lag import GroupPositions
from streams.kafka.topics import EVENTS, FLOW_GROUP
from tests.clock import HandClock
from tests.streams.flow.world import PARTITIONS, World, stream, wait_until
from wire.clock import SystemClock
from wire.errors import ConnectionFailed


def shown(name: str) -> float:
    labels = [{"group": FLOW_GROUP, "topic": EVENTS, "partition": str(n)} for n in range(PARTITIONS)]
    return sum(REGISTRY.get_sample_value(name, each) or 0 for each in labels)


def test_shows_events_and_seconds_of_its_own_partitions() -> None:
    with EmbeddedKafka() as kafka:
        world = World(kafka.bootstrap)
        world.send(stream(60))
        reader, taken = Reader(world.bus, Blame(), SystemClock(), time.sleep), 0
        for number in range(PARTITIONS):
            reader.add((EVENTS, number), None)
        newest = 0

        def enough() -> bool:
            nonlocal taken, newest
            for number in range(PARTITIONS):
                messages = reader.take((EVENTS, number))
                taken += len(messages)
                newest = max([newest, *(m.timestamp_ms for m in messages)])
            return taken == 60

        wait_until(enough, "all events")
        watch = LagWatch(world.bus, reader, HandClock(newest + 5000))
        watch.look()
        assert shown("coda_lag_events") == 60  # taken, but not known to be through
        assert shown("coda_lag_seconds") >= 5
        with GroupPositions(world.settings, FLOW_GROUP) as group:
            group.mirror({(EVENTS, number): 1000 for number in range(PARTITIONS)})
            wait_until(lambda: world.lag() == 0, "the positions")
        watch.look()
        assert shown("coda_lag_events") == shown("coda_lag_seconds") == 0
        with watch:
            pass  # its thread starts and ends
        reader.close()


@pytest.mark.parametrize("error", [ConnectionFailed("Kafka is away"), RuntimeError("what nobody expected")])
def test_whatever_a_look_fails_of_is_said_and_it_looks_again(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr("monitor.waiting.EVERY_MS", 0)
    monkeypatch.setattr("streams.flow.lag._EVERY_S", 0.01)
    looks = 0

    def look(_: LagWatch) -> None:
        nonlocal looks
        looks += 1
        raise error

    monkeypatch.setattr(LagWatch, "look", look)
    with EmbeddedKafka() as kafka:
        bus = World(kafka.bootstrap).bus
        with capture_logs() as lines, LagWatch(bus, Reader(bus, Blame(), SystemClock(), time.sleep), SystemClock()):
            wait_until(lambda: looks > 1, "another look")
    assert all(str(error) in line["event"] for line in lines) and lines


def test_a_look_that_never_ends_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.flow.lag._EVERY_S", 0.0)
    monkeypatch.setattr("streams.flow.lag._JOIN_S", 0.1)
    monkeypatch.setattr(LagWatch, "look", lambda _: time.sleep(5))
    with EmbeddedKafka() as kafka:
        bus = World(kafka.bootstrap).bus
        began_s = time.monotonic()
        with LagWatch(bus, Reader(bus, Blame(), SystemClock(), time.sleep), SystemClock()):
            pass
        assert time.monotonic() < began_s + 3
