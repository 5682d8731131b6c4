"""A producer that knows what became of every message it was given."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as RawMessage

from streams.kafka.connection import OUTAGE_NOTE_EVERY_S, KafkaSettings
from wire.errors import DeliveryError

# The queue holds this many messages before `send` waits: 100,000 events of about 300 bytes are 30 MB.
_QUEUE_MESSAGES = 100_000
_QUEUE_KB = 256 * 1024
# A topic's max.message.bytes holds for whole batches. A dead letter of 64 KiB has to fit anyway, so this is refused
# nowhere; librdkafka's default of 1 MB is refused wherever somebody lowered Kafka's limit.
_BATCH_BYTES = 64 << 10
_SLICE_S = 0.2  # librdkafka's calls can't be interrupted: wait in slices, so that Ctrl-C is heard
_POLL_EVERY = 1000
_STOP_S = 10.0  # how long somebody who was told to stop still waits for a broker that is away

_log = structlog.get_logger()


class CheckedProducer:
    """Idempotent producing with `acks=all`; raises `DeliveryError` from the next call once any message failed.

    A broker that is away is waited for, and every 30 s that is said; ten seconds more at most once `stopping()`.
    The partition of a key is the one that Kafka's Java clients choose (murmur2).

    >>> from streams.kafka.embedded import EmbeddedKafka
    >>> with EmbeddedKafka() as kafka:
    ...     producer = CheckedProducer(KafkaSettings(kafka.bootstrap))
    ...     producer.send_many("events", [b"ann", b"bob"], [b"{}", b"{}"])
    ...     producer.flush(10)
    """

    def __init__(self, settings: KafkaSettings, linger_ms: float = 5, *, stopping: Callable[[], bool] = lambda: False):
        self._bootstrap = settings.bootstrap
        self._stopping = stopping
        self._failed = 0
        self._first_failure = ""
        self._producer = Producer(
            {
                **settings.client("producer"),
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": linger_ms,
                "batch.size": _BATCH_BYTES,
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

    def settled(self, timeout_s: float = 0.0) -> bool:
        """Whether Kafka has everything, waiting for that up to `timeout_s`; raises `DeliveryError` as `poll` does."""
        left = self._producer.flush(timeout_s)
        self._check()
        return not left

    def flush(self, timeout_s: float = float("inf")) -> None:
        """Return when Kafka has everything; raises `DeliveryError` when that takes longer or a message failed."""
        wait = _Wait(self._bootstrap, self._stopping, timeout_s)
        while left := self._producer.flush(min(_SLICE_S, timeout_s)):
            self._check()
            wait.go_on(left)
        self._check()

    def _produce(self, topic: str, value: bytes, key: bytes | str | None, extra: dict[str, Any]) -> None:
        wait = _Wait(self._bootstrap, self._stopping)
        while True:
            try:
                return self._producer.produce(topic, value, key, **extra)
            except BufferError:
                self._producer.poll(_SLICE_S)
                self._check()
                wait.go_on(len(self))
            except KafkaException as error:
                raise DeliveryError(
                    f"Kafka at {self._bootstrap} does not take a message: {_words(error.args[0], topic, len(value))}"
                ) from error

    def _on_failure(self, error: KafkaError | None, message: RawMessage) -> None:
        if error is not None:
            self._failed += 1
            self._first_failure = self._first_failure or _words(
                error, str(message.topic()), len(message.value() or b"")
            )

    def _check(self) -> None:
        if self._failed:
            raise DeliveryError(
                f"Kafka at {self._bootstrap} did not take {self._failed} messages ({self._first_failure}): "
                "mend that, then start again; what was sent is not sent twice"
            )


class _Wait:
    """One wait for Kafka to take messages: says so once in a while, and ends it when it must."""

    def __init__(self, bootstrap: str, stopping: Callable[[], bool], timeout_s: float = float("inf")) -> None:
        self._bootstrap, self._stopping, self._limit_s = bootstrap, stopping, timeout_s
        self._said_s = self._began_s = time.monotonic()

    def go_on(self, waiting: int) -> None:
        """With so many messages `waiting`, raise `DeliveryError` when the wait is to end."""
        now_s = time.monotonic()
        waited_s = now_s - self._began_s
        if self._stopping():
            self._limit_s = min(self._limit_s, waited_s + _STOP_S)
        if waited_s > self._limit_s:
            raise DeliveryError(
                f"Kafka at {self._bootstrap} has not taken {waiting} messages within {waited_s:.1f} s: "
                "check that it runs, then start again; what was sent is not sent twice"
            )
        if now_s - self._said_s >= OUTAGE_NOTE_EVERY_S:
            self._said_s = now_s
            _log.warning(
                f"Kafka at {self._bootstrap} has not taken {waiting} messages yet (away, frozen, or fewer replicas in "
                "sync than min.insync.replicas); waiting until it does"
            )


def _words(error: KafkaError, topic: str, size: int) -> str:
    """What a broker refused, with the remedy where there is one."""
    again = f"{topic} is gone; start again, which makes it anew"
    remedies = {
        KafkaError.MSG_SIZE_TOO_LARGE: f"{size} bytes for {topic}; raise its max.message.bytes",
        KafkaError.TOPIC_AUTHORIZATION_FAILED: f"{topic}; allow it there (ACL: Write on the topic)",
        KafkaError.CLUSTER_AUTHORIZATION_FAILED: f"{topic}; allow it there (ACL: IdempotentWrite on the cluster)",
        KafkaError.INVALID_RECORD: f"{topic}; is it compacted? set its cleanup.policy to delete",
        KafkaError._UNKNOWN_PARTITION: again,
        KafkaError._UNKNOWN_TOPIC: again,
        KafkaError.POLICY_VIOLATION: f"{topic}; ask who runs it",
    }
    remedy = remedies.get(error.code())
    return f"{error.str()}: {remedy}" if remedy else error.str()
