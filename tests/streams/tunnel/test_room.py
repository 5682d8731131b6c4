"""The dataflow waits for a tunnel that is behind on the embedded Kafka, and for no other."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.consumer import BatchConsumer
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.lag import GroupPositions
from streams.kafka.producer import CheckedProducer
from streams.kafka.topics import CANDIDATES, TUNNEL_GROUP
from streams.tunnel.room import MOST_BEHIND, TunnelRoom
from tests.streams.flow.world import wait_until
from wire.clock import SystemClock
from wire.errors import ConnectionFailed


@pytest.fixture
def room() -> Iterator[tuple[KafkaSettings, TunnelRoom]]:
    with EmbeddedKafka() as kafka:
        settings = KafkaSettings(kafka.bootstrap)
        producer = CheckedProducer(settings)
        for _ in range(MOST_BEHIND + 1):
            producer.send(CANDIDATES, b"u", b"batch", partition=0)
        producer.flush(10)
        with TunnelRoom(KafkaBus(settings), SystemClock()) as found:
            yield settings, found


def seen(room: TunnelRoom) -> bool:
    room.look()
    return room()


def commit(settings: KafkaSettings, offset: int) -> None:
    with BatchConsumer(settings, TUNNEL_GROUP, [], "earliest", assign={(CANDIDATES, 0): 0}) as tunnel:
        assert tunnel.commit({(CANDIDATES, 0): offset})


def test_where_no_tunnel_ever_was_nothing_waits_for_it(room: tuple[KafkaSettings, TunnelRoom]) -> None:
    assert seen(room[1])


def test_a_tunnel_that_is_gone_and_a_kafka_that_is_away_are_waited_for_and_said(
    room: tuple[KafkaSettings, TunnelRoom], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(room[0], 0)
    monkeypatch.setattr("monitor.waiting.EVERY_MS", 0)

    def away(*_: object) -> bool:
        raise ConnectionFailed("Kafka is away")

    with capture_logs() as lines:
        assert not seen(room[1])
        monkeypatch.setattr(GroupPositions, "begun", away)
        assert not seen(room[1])
    assert [line["event"] for line in lines if "is `coda tunnel` running?" in line["event"]]
    assert [line["event"] for line in lines if "Kafka is away" in line["event"]]


def test_a_tunnel_that_is_behind_is_waited_for_until_it_has_caught_up(room: tuple[KafkaSettings, TunnelRoom]) -> None:
    commit(room[0], 0)
    assert not seen(room[1])
    commit(room[0], 1)
    assert seen(room[1])


def test_what_holds_the_dataflow_up_is_seen_without_asking(room: tuple[KafkaSettings, TunnelRoom]) -> None:
    commit(room[0], 0)
    wait_until(lambda: not room[1](), "a look")
