from dataclasses import replace

import pytest

from streams.bus import Message
from streams.kafka.bounds import bounds, read_between
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.producer import CheckedProducer
from wire.errors import DeliveryError


def messages_in(settings: KafkaSettings, topic: str) -> list[Message]:
    return list(read_between(settings, "test", bounds(settings, topic)))


def test_everything_sent_is_there_in_the_order_of_each_key(kafka: KafkaSettings) -> None:
    producer = CheckedProducer(kafka)
    keys = [b"user-%d" % (n % 50) for n in range(5000)]
    producer.send_many("events", keys, [b"%d" % n for n in range(5000)])
    producer.flush()
    found = messages_in(kafka, "events")
    assert sorted(int(message.value) for message in found) == list(range(5000))
    partition_of = {message.key: message.partition for message in found}
    assert all(partition_of[message.key] == message.partition for message in found)
    for key in set(keys):
        numbers = [int(message.value) for message in found if message.key == key]
        assert numbers == sorted(numbers)


def test_partition_key_headers_and_time_arrive(kafka: KafkaSettings) -> None:
    producer = CheckedProducer(kafka)
    producer.send("events.dlq", "line", b"raw", headers={"reason": b"no label"}, partition=3, timestamp_ms=1234)
    producer.flush()
    (message,) = messages_in(kafka, "events.dlq")
    assert (message.partition, message.key, message.timestamp_ms) == (3, b"line", 1234)
    assert message.headers["reason"] == b"no label"


def test_keys_go_to_the_partitions_that_java_clients_choose(kafka: KafkaSettings) -> None:
    # The hashes that Kafka's own UtilsTest expects of murmur2; a Java client takes them positive, modulo partitions.
    hashes = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    expected = {key: (value & 0x7FFFFFFF) % 4 for key, value in hashes.items()}
    producer = CheckedProducer(kafka)
    producer.send_many("events", list(expected), [b""] * len(expected))
    producer.flush()
    assert {message.key: message.partition for message in messages_in(kafka, "events")} == expected


def test_a_broker_that_goes_away_is_an_error_and_not_silence() -> None:
    with EmbeddedKafka() as broker:
        producer = CheckedProducer(replace(KafkaSettings(broker.bootstrap), delivery_timeout_s=4))
        producer.send("events", "ann", b"1")
        producer.flush()
    producer.send("events", "ann", b"2")
    with pytest.raises(DeliveryError, match="did not take 1 messages"):
        producer.flush(10)


def test_flush_gives_up_after_its_time() -> None:
    with EmbeddedKafka() as broker:
        # Not longer: another test's broker may get this one's port, and the message that nobody took.
        producer = CheckedProducer(replace(KafkaSettings(broker.bootstrap), delivery_timeout_s=1))
        producer.flush()
    producer.send("events", "ann", b"2")
    with pytest.raises(DeliveryError, match="has not taken 1 messages"):
        producer.flush(0.5)


def test_more_than_the_queue_holds_waits_instead_of_failing(kafka: KafkaSettings) -> None:
    producer = CheckedProducer(kafka)
    count = 150_000  # the queue holds 100,000
    producer.send_many("events", [b"k"] * count, [b"v"] * count)
    producer.flush()
    assert sum(end for _, end in bounds(kafka, "events").values()) == count


def test_a_message_that_is_too_large_says_so(kafka: KafkaSettings) -> None:
    producer = CheckedProducer(replace(kafka, model_bytes=2000))
    with pytest.raises(DeliveryError, match="too large"):
        producer.send("events", "ann", b"x" * 5000)
