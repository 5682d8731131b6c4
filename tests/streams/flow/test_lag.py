from prometheus_client import REGISTRY

from streams.flow.blame import Blame
from streams.flow.lag import LagWatch
from streams.flow.source import Reader
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.lag import GroupPositions
from streams.kafka.topics import EVENTS, FLOW_GROUP
from tests.streams.flow.world import PARTITIONS, World, stream, wait_until


def shown(name: str) -> float:
    labels = [{"group": FLOW_GROUP, "topic": EVENTS, "partition": str(n)} for n in range(PARTITIONS)]
    return sum(REGISTRY.get_sample_value(name, each) or 0 for each in labels)


def test_shows_events_and_seconds_of_its_own_partitions() -> None:
    with EmbeddedKafka() as kafka:
        world = World(kafka.bootstrap)
        world.send(stream(60))
        reader, taken = Reader(world.settings, Blame()), 0
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
        watch = LagWatch(world.settings, reader, clock_ms=lambda: newest + 5000)
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
