"""Which Kafka this is: the ids of cluster and topics, as the brokers tell them."""

from collections.abc import Sequence

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from streams.home import Home
from streams.kafka.connection import KafkaSettings, is_embedded, patiently, probe, reason
from wire.errors import ConnectionFailed

_TIMEOUT_S = 10


def home_of(settings: KafkaSettings, topics: Sequence[str]) -> Home:
    """Where `topics` live; raises `ConnectionFailed`."""
    cluster = probe(settings.bootstrap, properties=settings.properties)
    if is_embedded(settings.bootstrap, settings.properties):
        return Home(f"{cluster} at {settings.bootstrap}", {})  # its id alone, an address in memory, may come again
    return Home(cluster, topic_ids(settings, topics))


def topic_ids(settings: KafkaSettings, topics: Sequence[str]) -> dict[str, str]:
    """The id of each topic; raises `ConnectionFailed`."""
    admin = AdminClient(settings.client("home"))

    def ask() -> dict[str, str]:
        answers = admin.describe_topics(TopicCollection(list(topics)), request_timeout=_TIMEOUT_S)
        return {topic: str(answer.result().topic_id) for topic, answer in answers.items()}

    try:
        return patiently(ask)
    except KafkaException as error:
        raise ConnectionFailed(
            f"Kafka at {settings.bootstrap} does not say which topics it has: {reason(error)}"
        ) from error
