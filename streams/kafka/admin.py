"""Our topics: created with the partitions, retention and compaction that the settings ask for."""

import time
from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from streams.kafka.connection import KafkaSettings, is_embedded, partitions_of, reason
from streams.kafka.embedded import KEPT_BYTES
from streams.kafka.topics import COMPACTED, MODELS, SAMPLES, STATUS, TOPICS
from wire.errors import ConnectionFailed

_TIMEOUT_S = 30
# The newest of each process, for a day; of the rest a few minutes, so that who begins to watch soon has read it all.
# One clock stamps them all, so that it can be told who is silent.
_STATUS_CONFIG = {
    "cleanup.policy": "compact,delete",
    "retention.ms": str(24 * 3600 * 1000),
    "segment.ms": "60000",
    "min.cleanable.dirty.ratio": "0.1",
    "message.timestamp.type": "LogAppendTime",
}
_ENVELOPE_BYTES = 64 << 10  # of a record batch beside the message, with room


def ensure_topics(settings: KafkaSettings, topics: Iterable[str] = TOPICS) -> list[str]:
    """Create the topics that are missing and say which those were; existing ones are left as they are.

    Returns when every one of them can be used. On the embedded broker nothing can be configured: a topic is created
    there by being asked for. Raises `ConnectionFailed`.
    """
    embedded = is_embedded(settings.bootstrap, settings.properties)
    admin = AdminClient(settings.client("admin"))  # keep the reference: its futures die with it
    if embedded:
        for topic in topics:
            partitions_of(admin, topic)
        return []
    missing = [topic for topic in topics if not partitions_of(admin, topic)]
    if missing:
        _create(admin, settings, missing)
    return missing


def topic_config(settings: KafkaSettings, topic: str) -> dict[str, str]:
    """The configuration a topic is created with.

    >>> topic_config(KafkaSettings(), "models")["cleanup.policy"]
    'compact'
    """
    if topic == STATUS:
        return _STATUS_CONFIG
    if topic in COMPACTED:
        config = {"cleanup.policy": "compact"}
        return {**config, "max.message.bytes": str(settings.model_bytes)} if topic == MODELS else config
    kept_ms = settings.sample_retention_ms if topic == SAMPLES else settings.retention_ms
    return {"cleanup.policy": "delete", "retention.ms": str(kept_ms)}


def largest_model(settings: KafkaSettings) -> int:
    """The largest message, in bytes, that a cloud model may be: ours, or the topic's if it is less.

    Raises `ConnectionFailed`. The embedded broker loses both of two messages that do not fit its partition together.
    """
    if is_embedded(settings.bootstrap, settings.properties):
        return min(settings.model_bytes, KEPT_BYTES // 2 - _ENVELOPE_BYTES)
    admin = AdminClient(settings.client("admin"))
    ((_, asked),) = admin.describe_configs(
        [ConfigResource(ResourceType.TOPIC, MODELS)], request_timeout=_TIMEOUT_S
    ).items()
    try:
        return min(settings.model_bytes, int(asked.result(_TIMEOUT_S)["max.message.bytes"].value))
    except KafkaException as error:
        raise ConnectionFailed(
            f"Kafka at {settings.bootstrap} does not say how large a message of {MODELS} may be: {reason(error)}"
        ) from error


def _create(admin: AdminClient, settings: KafkaSettings, topics: list[str]) -> None:
    wanted = [
        NewTopic(topic, settings.partitions, settings.replication, config=topic_config(settings, topic))
        for topic in topics
    ]
    for topic, future in admin.create_topics(wanted, request_timeout=_TIMEOUT_S).items():
        try:
            future.result(_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                continue  # another of our processes was faster
            raise ConnectionFailed(
                f"Kafka at {settings.bootstrap} does not create the topic {topic}: {reason(error)}; "
                "check partitions and replication against the number of brokers"
            ) from error
    _wait_until_known(admin, settings, topics)


def _wait_until_known(admin: AdminClient, settings: KafkaSettings, topics: list[str]) -> None:
    """Creation is acknowledged before every broker's metadata has the topic."""
    deadline_s = time.monotonic() + _TIMEOUT_S
    while not all(partitions_of(admin, topic) for topic in topics):
        if time.monotonic() > deadline_s:
            raise ConnectionFailed(f"Kafka at {settings.bootstrap} created topics but does not list them: look there")
        time.sleep(0.05)
