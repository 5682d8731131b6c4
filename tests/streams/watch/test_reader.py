"""Statuses as they come: who is silent is told by Kafka's clock, wherever it is watched from."""

import pytest

from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import STATUS
from streams.watch.picture import Picture
from streams.watch.reader import StatusReader
from tests.clock import HandClock
from tests.streams.watch.statuses import frontier, status
from wire.status import encode_status

NOW_S = 10_000


@pytest.mark.parametrize("wrong_s", [-3600, -10, 0, 10, 3600])
def test_a_clock_that_is_wrong_where_it_is_watched_makes_nobody_silent_and_hides_nobody_who_is(wrong_s: int) -> None:
    with EmbeddedKafka() as kafka:
        bus = KafkaBus(KafkaSettings(kafka.bootstrap))
        ensure_topics(bus.settings, [STATUS])
        producer = bus.producer()

        def say(name: str, at_s: int) -> None:
            said = status(name=name, at_s=at_s, frontiers=(frontier("pooled", at_s, at_s, at_s),))
            producer.send(STATUS, said.key, encode_status(said), timestamp_ms=at_s * 1000)
            producer.flush(10)

        for name, at_s in (("dead", NOW_S - 60), ("alive", NOW_S - 1)):
            say(name, at_s)
        clock = HandClock((NOW_S + wrong_s) * 1000)
        with StatusReader(bus, clock) as reader:
            reader.catch_up(10)
            say("alive", NOW_S)
            while not reader.poll(1):
                pass
            clock.passes(1000)
            picture: Picture = reader.picture()
        assert {process.name: process.silent_s for process in picture.processes} == {"dead": 61, "alive": 0}
        assert picture.stages[0].age_s == 1 and picture.at_ms == reader.now_ms()
