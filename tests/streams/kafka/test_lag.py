import time

import pytest

from streams.kafka.admin import ensure_topics
from streams.kafka.connection import KafkaSettings
from streams.kafka.consumer import BatchConsumer
from streams.kafka.lag import GroupPositions
from tests.integration.stack import wait_until
from tests.streams.kafka.lag import lag
from tests.streams.kafka.server import kafka_script
from tests.streams.kafka.test_consumer import ALL, drain, send


def test_a_group_that_never_committed_is_behind_by_everything(kafka: KafkaSettings) -> None:
    send(kafka, 40)
    assert sum(lag(kafka.bootstrap, "nobody", "events").values()) == 40


def test_lag_falls_with_what_is_committed(kafka: KafkaSettings) -> None:
    send(kafka, 40)
    with BatchConsumer(kafka, "g", ["events"], assign=ALL) as consumer, GroupPositions(kafka, "g") as positions:
        drain(consumer, 40)
        assert sum(positions.lag("events").values()) == 40
        consumer.commit()
        assert sum(positions.lag("events").values()) == 0
        send(kafka, 3)
        assert sum(positions.lag("events").values()) == 3


def test_mirrored_positions_are_the_groups(kafka: KafkaSettings) -> None:
    send(kafka, 400)
    behind = lag(kafka.bootstrap, "coda-flow", "events")
    with GroupPositions(kafka, "coda-flow") as positions:
        positions.mirror({("events", 1): behind[1] - 5})
        wait_until(lambda: positions.lag("events")[1] == 5, "the mirrored position", 5, 0.05)


def test_a_topic_nobody_has_made_yet_has_no_lag(kafka: KafkaSettings) -> None:
    assert lag(kafka.bootstrap, "g", "nowhere") == {}


@pytest.mark.servers
def test_kafkas_own_tool_sees_the_same(real_kafka: KafkaSettings) -> None:
    topic = f"lag-{time.time_ns()}"
    ensure_topics(real_kafka, [topic])
    send(real_kafka, 400, topic=topic)
    behind = lag(real_kafka.bootstrap, topic, topic)
    with GroupPositions(real_kafka, topic) as positions:
        positions.mirror({(topic, number): behind[number] - number for number in range(4)})
        wait_until(lambda: positions.lag(topic) == {0: 0, 1: 1, 2: 2, 3: 3}, "the mirrored positions", 10, 0.1)
    told = kafka_script(
        "tool",
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "--bootstrap-server",
        real_kafka.bootstrap,
        "--describe",
        "--group",
        topic,
    )
    rows = [line.split() for line in told.splitlines() if line.startswith(topic)]
    assert {int(row[2]): int(row[5]) for row in rows} == {0: 0, 1: 1, 2: 2, 3: 3}
