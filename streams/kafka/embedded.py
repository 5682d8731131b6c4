"""The embedded Kafka: librdkafka's in-memory broker, for trying things out without a server.

It speaks the Kafka protocol on a port of 127.0.0.1, so other processes can use it, but it is no store:
it keeps about 5 MB per partition and drops the oldest messages beyond that, creates every topic with 4 partitions,
has no `offsets_for_times`, and forgets everything when its process ends. So the replay throttles on lag here, and
consumers treat an offset gap as an error.
"""

from typing import Self

from confluent_kafka import KafkaException, Producer

from streams.kafka.connection import reason
from wire.errors import ConnectionFailed

KEPT_BYTES = 5 << 20  # per partition: the broker's built-in limit (librdkafka, rdkafka_mock.c)


class EmbeddedKafka:
    """The broker, alive for as long as this context is open.

    >>> from streams.kafka.connection import is_embedded
    >>> with EmbeddedKafka() as kafka:
    ...     is_embedded(kafka.bootstrap)
    True
    """

    def __init__(self) -> None:
        # log_level 2: the broker announces itself on stderr otherwise.
        self._owner: Producer | None = Producer({"test.mock.num.brokers": 1, "log_level": 2})
        self.bootstrap = _address(self._owner)

    def close(self) -> None:
        """Stop the broker; what it held is gone."""
        self._owner = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _address(owner: Producer) -> str:
    try:
        (broker,) = owner.list_topics(timeout=5).brokers.values()
    except KafkaException as error:
        raise ConnectionFailed(
            f"the embedded Kafka does not start: {reason(error)}; use a real one with --bootstrap"
        ) from error
    return f"{broker.host}:{broker.port}"
