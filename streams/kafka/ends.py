"""Where topics end now, for readers that begin there and must not miss what comes next."""

from confluent_kafka import Consumer, KafkaException

from models.errors import ConnectionFailed
from streams.kafka.connection import KafkaSettings, partitions_of, reason

_TIMEOUT_S = 10


def end_offsets(settings: KafkaSettings, topic: str) -> dict[tuple[str, int], int]:
    """The offset that the next message of each partition gets; empty when there is no such topic."""
    consumer = Consumer({**settings.client("ends"), "group.id": "coda-ends"})
    try:
        return {
            (topic, p.partition): consumer.get_watermark_offsets(p, timeout=_TIMEOUT_S)[1]
            for p in partitions_of(consumer, topic)
        }
    except KafkaException as error:
        raise ConnectionFailed(
            f"Kafka at {settings.bootstrap} does not say where {topic} ends: {reason(error)}"
        ) from error
    finally:
        consumer.close()
