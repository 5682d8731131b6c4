import time
from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from streams.kafka.admin import ensure_topics, largest_model, topic_config
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings, partitions_of
from streams.kafka.producer import CheckedProducer
from streams.kafka.topics import COMPACTED, MODELS, SAMPLES, TASKS, TOPICS
from wire.errors import ConnectionFailed


def test_models_and_tasks_are_compacted_and_all_else_is_kept_for_a_time() -> None:
    for topic in TOPICS:
        compacted = topic_config(KafkaSettings(), topic)["cleanup.policy"].startswith("compact")
        assert compacted == (topic in COMPACTED)


def test_on_the_embedded_broker_every_topic_can_be_used_at_once(kafka: KafkaSettings) -> None:
    assert ensure_topics(kafka) == []
    admin = AdminClient(kafka.client("test"))
    assert all(len(partitions_of(admin, topic)) == kafka.partitions for topic in TOPICS)


def test_the_embedded_broker_has_room_for_two_models(kafka: KafkaSettings) -> None:
    producer, bus = CheckedProducer(kafka), KafkaBus(kafka)
    for _ in range(3):
        producer.send(MODELS, b"current", bytes(largest_model(kafka)))
        producer.flush()
        assert list(bus.read("test", bus.bounds(MODELS)))


@pytest.mark.servers
def test_topics_are_created_as_the_settings_say_and_then_left_alone(real_kafka: KafkaSettings) -> None:
    ensure_topics(real_kafka)
    assert ensure_topics(real_kafka) == []
    settings = replace(real_kafka, partitions=7, retention_ms=3_600_000, model_bytes=5 << 20)
    assert ensure_topics(settings, ["of-seven"]) == ["of-seven"]
    admin = AdminClient(settings.client("test"))
    assert len(partitions_of(admin, "of-seven")) == 7
    assert _config(admin, "of-seven")["retention.ms"] == "3600000"
    assert _config(admin, MODELS)["cleanup.policy"] == _config(admin, TASKS)["cleanup.policy"] == "compact"
    assert int(_config(admin, MODELS)["max.message.bytes"]) > 1 << 20
    assert _config(admin, SAMPLES)["retention.ms"] == str(real_kafka.sample_retention_ms)


@pytest.mark.servers
def test_a_model_is_as_large_as_its_topic_takes(real_kafka: KafkaSettings) -> None:
    ensure_topics(real_kafka)
    assert largest_model(real_kafka) == 8 << 20
    _limit_models(real_kafka, 1_000_000)
    deadline_s = time.monotonic() + 10  # a broker hears of a change later than it is acknowledged
    while largest_model(real_kafka) != 1_000_000:
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    _limit_models(real_kafka, 8 << 20)


@pytest.mark.servers
def test_more_replicas_than_brokers_are_refused_in_one_line(real_kafka: KafkaSettings) -> None:
    with pytest.raises(ConnectionFailed, match="check partitions and replication"):
        ensure_topics(replace(real_kafka, replication=9), ["too-many-copies"])


def _limit_models(settings: KafkaSettings, size: int) -> None:
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    models = ConfigResource(ResourceType.TOPIC, MODELS, incremental_configs=[entry])
    admin = AdminClient(settings.client("test"))
    (changed,) = admin.incremental_alter_configs([models]).values()
    changed.result(10)


def _config(admin: AdminClient, topic: str) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    entries = admin.describe_configs([resource])[resource].result(10)
    return {name: entry.value for name, entry in entries.items()}
