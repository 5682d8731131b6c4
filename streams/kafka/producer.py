"""A producer that knows what became of every message it was given."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from streams.kafka.connection import KafkaSettings, reason
from wire.errors import DeliveryError

# The queue holds this many messages before `send` waits: 100,000 events of about 300 bytes are 30 MB (ours).
_QUEUE_MESSAGES = 100_000
_QUEUE_KB = 256 * 1024
_SLICE_S = 0.2  # librdkafka's calls can't be interrupted: wait in slices, so that Ctrl-C is heard
_POLL_EVERY = 1000


class CheckedProducer:
    """Idempotent producing with `acks=all`; raises `DeliveryError` from the next call once any message failed.

    The partition of a key is the one that Kafka's Java clients choose (murmur2).

    >>> from streams.kafka.embedded import EmbeddedKafka
    >>> with EmbeddedKafka() as kafka:
    ...     producer = CheckedProducer(KafkaSettings(kafka.bootstrap))
    ...     producer.send_many("events", [b"ann", b"bob"], [b"{}", b"{}"])
    ...     producer.flush(10)
    """

    def __init__(self, settings: KafkaSettings, linger_ms: float = 5):
        self._bootstrap = settings.bootstrap
        self._failed = 0
        self._first_failure = ""
        self._producer = Producer(
            {
                **settings.client("producer"),
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": linger_ms,
                "partitioner": "murmur2_random",
                "message.max.bytes": settings.model_bytes,
                "message.timeout.ms": int(settings.delivery_timeout_s * 1000),
                "queue.buffering.max.messages": _QUEUE_MESSAGES,
                "queue.buffering.max.kbytes": _QUEUE_KB,
                "delivery.report.only.error": True,
                "on_delivery": self._on_failure,
            }
        )

    def __len__(self) -> int:
        """How many messages Kafka has not yet acknowledged."""
        return len(self._producer)

    def send(
        self,
        topic: str,
        key: bytes | str | None,
        value: bytes,
        *,
        timestamp_ms: int | None = None,
        headers: Mapping[str, bytes] | None = None,
        partition: int | None = None,
    ) -> None:
        """Queue one message, waiting while the queue is full; `timestamp_ms` defaults to now."""
        extra: dict[str, Any] = {}
        if timestamp_ms is not None:
            extra["timestamp"] = timestamp_ms
        if headers is not None:
            extra["headers"] = dict(headers)
        if partition is not None:
            extra["partition"] = partition
        self._produce(topic, value, key, extra)
        self.poll()

    def send_many(self, topic: str, keys: Iterable[bytes | str], values: Iterable[bytes]) -> None:
        """Queue many messages of one topic, in order; waits while the queue is full."""
        produce = self._producer.produce
        for number, (key, value) in enumerate(zip(keys, values, strict=True)):
            try:
                produce(topic, value, key)
            except (BufferError, KafkaException):
                self._produce(topic, value, key, {})
            if number % _POLL_EVERY == 0:
                self.poll()
        self.poll()

    def poll(self) -> None:
        """Serve delivery reports; raises `DeliveryError` when a message failed."""
        self._producer.poll(0)
        self._check()

    def flush(self, timeout_s: float = 30) -> None:
        """Return when Kafka has everything; raises `DeliveryError` when that takes longer or a message failed."""
        deadline_s = time.monotonic() + timeout_s
        while self._producer.flush(min(_SLICE_S, timeout_s)):
            self._check()
            if time.monotonic() > deadline_s:
                raise DeliveryError(
                    f"Kafka at {self._bootstrap} has not taken {len(self)} messages within {timeout_s:g} s: "
                    "check that it runs, then start again; what was sent is not sent twice"
                )
        self._check()

    def _produce(self, topic: str, value: bytes, key: bytes | str | None, extra: dict[str, Any]) -> None:
        while True:
            try:
                return self._producer.produce(topic, value, key, **extra)
            except BufferError:
                self._producer.poll(_SLICE_S)
                self._check()
            except KafkaException as error:
                raise DeliveryError(f"Kafka does not take a message for {topic}: {reason(error)}") from error

    def _on_failure(self, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self._failed += 1
            self._first_failure = self._first_failure or error.str()

    def _check(self) -> None:
        if self._failed:
            raise DeliveryError(
                f"Kafka at {self._bootstrap} did not take {self._failed} messages ({self._first_failure}): "
                "check the broker, then start again; what was sent is not sent twice"
            )
