import random
import time
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import TopicPartition

from streams.bus import Message, Partition, Positions
from streams.kafka.admin import ensure_topics
from streams.kafka.bounds import bounds
from streams.kafka.connection import KafkaSettings
from streams.kafka.consumer import BatchConsumer
from streams.kafka.producer import CheckedProducer
from streams.kafka.resting import CALM_S
from wire.errors import ConnectionFailed, DeliveryError

ALL = {("events", number): None for number in range(4)}


def send(settings: KafkaSettings, count: int, size: int = 10, topic: str = "events") -> None:
    producer = CheckedProducer(settings)
    producer.send_many(topic, [b"%d" % n for n in range(count)], [b"x" * size] * count)
    producer.flush()


def drain(consumer: BatchConsumer, count: int, limit_s: float = 20) -> list[Message]:
    found: list[Message] = []
    deadline_s = time.monotonic() + limit_s
    while len(found) < count:
        assert time.monotonic() < deadline_s, f"{len(found)} of {count} came"
        found += consumer.poll(1000, 0.2)
    return found


def test_a_group_goes_on_where_it_committed(kafka: KafkaSettings) -> None:
    send(kafka, 100)
    with BatchConsumer(kafka, "g", ["events"], assign=ALL) as consumer:
        first = drain(consumer, 100)
        assert consumer.commit()
    send(kafka, 50)
    with BatchConsumer(kafka, "g", ["events"], assign=ALL) as consumer:
        second = drain(consumer, 50)
        assert consumer.poll(100, 0.1) == []
    places = {(message.partition, message.offset) for message in first + second}
    assert len(places) == 150


def test_nothing_is_committed_on_its_own(kafka: KafkaSettings) -> None:
    send(kafka, 10)
    for _ in range(2):
        with BatchConsumer(kafka, "g", ["events"], assign=ALL) as consumer:
            assert len(drain(consumer, 10)) == 10


def test_earliest_and_latest_and_given_offsets(kafka: KafkaSettings) -> None:
    send(kafka, 100)
    ends = {partition: end for partition, (_, end) in bounds(kafka, "events").items()}
    with BatchConsumer(kafka, "g", ["events"], "latest", assign=ALL) as consumer:
        assert consumer.poll(100, 0.5) == []
        send(kafka, 10)
        assert len(drain(consumer, 10)) == 10
    partition = max(ends, key=lambda each: ends[each])
    with BatchConsumer(kafka, "g", ["events"], assign={partition: ends[partition] - 1}) as consumer:
        assert drain(consumer, 1)[0].offset == ends[partition] - 1


def test_poll_returns_at_once_with_what_is_there(kafka: KafkaSettings) -> None:
    send(kafka, 5)
    with BatchConsumer(kafka, "g", ["events"], assign=ALL) as consumer:
        drain(consumer, 5)
        send(kafka, 1)
        began = time.monotonic()
        assert len(consumer.poll(1000, 10)) == 1
        assert time.monotonic() - began < 2


def test_waiting_for_messages_costs_nothing(kafka: KafkaSettings) -> None:
    with BatchConsumer(kafka, "readers", [], assign={("events", 0): None}) as consumer:
        consumer.poll(100, timeout_s=0.5)
        spent_s, began_s = time.thread_time(), time.monotonic()
        for _ in range(25):
            assert not consumer.poll(100, timeout_s=0.02)
        assert time.thread_time() - spent_s < 0.02 * (time.monotonic() - began_s)


def overflow(settings: KafkaSettings) -> None:
    """Hardly compressible, so that the embedded broker's 5 MB per partition run over."""
    producer = CheckedProducer(settings)
    noise = random.Random(1)
    for _ in range(100):
        producer.send("events", "k", noise.randbytes(100_000), partition=0)
    producer.flush()
    assert bounds(settings, "events")["events", 0][0] > 0


@pytest.mark.parametrize("begin", [0, None])
def test_data_that_the_broker_dropped_is_an_error_and_not_a_jump(kafka: KafkaSettings, begin: int | None) -> None:
    with BatchConsumer(kafka, "slow", ["events"], assign={("events", 0): begin}) as consumer:
        consumer.pause([("events", 0)])  # it would fetch ahead, and sometimes keep up
        overflow(kafka)
        consumer.resume([("events", 0)])
        with pytest.raises(DeliveryError, match=r"events\[0\]"):
            for _ in range(200):
                consumer.poll(10, 0.1)


def test_a_topic_that_is_not_there_is_said_at_once(kafka: KafkaSettings) -> None:
    with pytest.raises(ConnectionFailed, match="no topic nowhere"):
        BatchConsumer(kafka, "g", ["nowhere"])


def test_members_of_a_group_share_the_partitions_and_hear_of_it(kafka: KafkaSettings) -> None:
    send(kafka, 1000)
    assigned: list[Positions] = []
    revoked: list[list[Partition]] = []
    with BatchConsumer(kafka, "shared", ["events"], on_assign=assigned.append, on_revoke=revoked.append) as consumer:
        assert len(drain(consumer, 1000)) == 1000
        assert set(assigned[0]) == set(ALL)
    assert not revoked, "whoever leaves has done what is to be done before"


def test_a_share_that_comes_when_a_member_leaves_is_not_taken(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(confluent_kafka.Consumer):
        def subscribe(self, *_: Any, on_assign: Any = None, **__: Any) -> None:
            self.on_assign = on_assign

        def close(self) -> None:
            self.on_assign(self, [TopicPartition(*partition) for partition in ALL])
            super().close()

    monkeypatch.setattr("streams.kafka.consumer.Consumer", Late)
    assigned: list[Positions] = []
    with BatchConsumer(kafka, "shared", ["events"], on_assign=assigned.append) as consumer:
        pass
    assert assigned == [] and consumer.positions() == {}


@pytest.mark.servers
def test_a_rebalance_loses_nothing_and_repeats_only_what_was_not_committed(real_kafka: KafkaSettings) -> None:
    topic = f"shared-{time.time_ns()}"
    ensure_topics(real_kafka, [topic])
    send(real_kafka, 2000, topic=topic)
    seen: list[tuple[int, int]] = []
    revoked: list[list[Partition]] = []
    with BatchConsumer(real_kafka, topic, [topic], on_revoke=revoked.append) as one:
        seen += [(m.partition, m.offset) for m in drain(one, 2000)]
        one.commit()
        with BatchConsumer(real_kafka, topic, [topic]) as two:
            sent = 2000
            deadline_s = time.monotonic() + 40
            while len(set(seen)) < sent or not two.positions():
                assert time.monotonic() < deadline_s, f"{len(set(seen))} of {sent} came, {two.positions()}"
                if not two.positions() and sent < 20_000:  # the stream goes on through the rebalance
                    send(real_kafka, 100, topic=topic)
                    sent += 100
                for member in (one, two):
                    seen += [(m.partition, m.offset) for m in member.poll(500, 0.05)]
                    member.commit()
    assert revoked, "the first member was never told that a partition goes"
    assert len(set(seen)) == sent


@pytest.mark.servers
def test_a_position_that_retention_took_is_an_error(real_kafka: KafkaSettings) -> None:
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    topic = f"short-{time.time_ns()}"
    ensure_topics(real_kafka, [topic])
    send(real_kafka, 100, topic=topic)
    admin = AdminClient(real_kafka.client("test"))
    for future in admin.delete_records([TopicPartition(topic, number, 10) for number in range(4)]).values():
        future.result(10)
    with (
        BatchConsumer(real_kafka, "late", [topic], assign={(topic, 0): 3}) as consumer,
        pytest.raises(DeliveryError, match="no longer has offset 3"),
    ):
        for _ in range(100):
            consumer.poll(10, 0.1)


def test_after_a_silence_a_group_reads_on_where_it_stopped(kafka: KafkaSettings) -> None:
    ensure_topics(kafka)
    with BatchConsumer(kafka, "readers", ["events"]) as consumer:
        for _ in range(4):
            send(kafka, 5)
            assert [m.value for m in drain(consumer, 5)] == [b"x" * 10] * 5
            quiet_until_s = time.monotonic() + 2 * CALM_S
            while time.monotonic() < quiet_until_s:
                assert not consumer.poll(100, 0.05)
        consumer.pause(list(consumer.positions()))
        send(kafka, 5)
        assert not consumer.poll(100, 2 * CALM_S), "what the caller paused stays so"
        consumer.resume(list(consumer.positions()))
        assert len(drain(consumer, 5)) == 5
