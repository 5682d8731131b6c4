"""One Kafka, one MQTT broker and simple devices, for tests of the tunnel between them."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from device_sim import topics
from monitor.metrics import Metrics
from streams.bus import Message
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.consumer import BatchConsumer
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.producer import CheckedProducer
from streams.kafka.topics import CANDIDATES, TUNNEL_GROUP
from streams.mqtt.broker import Received
from streams.mqtt.client import MqttClient
from streams.mqtt.connection import MqttSettings
from streams.mqtt.paho_broker import PahoBroker
from streams.tunnel.tunnel import Tunnel
from tests.streams.kafka.lag import lag
from tests.streams.mqtt.brokers import Broker
from tests.wire.reports import ack
from wire.batch import decode_batch, encode_batch
from wire.candidates import CandidateBatch, Candidates, no_candidates
from wire.clock import SystemClock
from wire.identity import ModelId
from wire.malformed import Malformed
from wire.model import Manifest, encode_model
from wire.push_headers import PushHeaders
from wire.signing import new_keys, sign_model, sign_task
from wire.task import Task
from wire.telemetry import decode_receipt, encode_report

# The embedded Kafka shares partitions out in steps of 3 s: one for a new group, up to five for one that grows.
PATIENCE_S = 60
MODEL = ModelId("", 1)
PRIVATE, PUBLIC = new_keys()

REAL = "apache-kafka"  # what `world` is asked for by, where it has to be Apache Kafka and mosquitto


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def batch(user_id: str, seq: int, matched_ms: int | None = None) -> bytes:
    matched_ms = now_ms() if matched_ms is None else matched_ms
    keys = np.arange(1, 6, dtype=np.uint32)
    ones = np.ones(5, np.float16)
    bits = np.ones(5, np.uint8)
    some = Candidates(ones, keys, keys, bits, bits, keys)
    return encode_batch(CandidateBatch(user_id, seq, MODEL, 0, matched_ms, matched_ms, some, ones, no_candidates()))


def model(version: int, lineage: str = "", replaces: tuple[str, ...] = ()) -> bytes:
    return sign_model(encode_model(Manifest(lineage, version, 0, {}, {}, replaces), {}), PRIVATE)


def task(version: int) -> bytes:
    return sign_task(Task(task_version=version), PRIVATE)


def _headers(raw: bytes) -> dict[str, bytes]:
    """Those of a batch as the flow sends it; a stranger's message has none."""
    try:
        return PushHeaders.of(decode_batch(raw)).encode()
    except Malformed:
        return {}


def wait_for(holds: Callable[[], object], what: str, timeout_s: float = PATIENCE_S) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.01)


class Device:
    """Publishes and remembers; acknowledges batches when asked to."""

    def __init__(self, mqtt: MqttSettings, user_id: str) -> None:
        self.user_id = user_id
        down = [topics.candidates(user_id), topics.receipts(user_id), topics.MODEL, topics.TASK]
        self.client = MqttClient(mqtt, Metrics(), f"device-{user_id}", down)
        self.client.open()
        wait_for(lambda: self.client.connected, "the connection of a device", 15)
        self.got: list[Received] = []

    def publish(self, topic: str, payload: bytes) -> None:
        self.client.publish(topic, payload)

    def read(self) -> list[Received]:
        new = self.client.received(1000)
        self.client.acknowledge(new)
        self.client.taken()
        self.got += new
        return new

    def answer(self, outcome: str = "accepted") -> bool:
        """Acknowledge what came in; False, so that tests can wait for something else with it."""
        for seq in self.batches(self.read()):
            self.publish(topics.ack(self.user_id), encode_report(ack(self.user_id, seq, outcome)))
        return False

    def batches(self, messages: list[Received] | None = None) -> list[int]:
        messages = self.got if messages is None else messages
        return [decode_batch(m.payload).batch_seq for m in messages if m.topic == topics.candidates(self.user_id)]

    def receipts(self) -> set[str]:
        self.read()
        mine = topics.receipts(self.user_id)
        return {event_id for m in self.got if m.topic == mine for event_id in decode_receipt(m.payload).event_ids}

    def newest(self, topic: str) -> bytes | None:
        self.read()
        return next((m.payload for m in reversed(self.got) if m.topic == topic), None)


def live_tunnel(
    kafka: KafkaSettings, mqtt: MqttSettings, metrics: Metrics | None = None, **settings: float | str
) -> Tunnel:
    """A tunnel as the command makes it."""
    metrics = metrics or Metrics()
    broker = PahoBroker(mqtt, metrics)
    return Tunnel(KafkaBus(kafka), broker, SystemClock(), metrics=metrics, **settings)  # type: ignore[arg-type]


class World:
    """One Kafka, one MQTT broker, and what tests do with them."""

    def __init__(self, stack: ExitStack, broker: Broker, kafka: KafkaSettings | None = None) -> None:
        self.kafka = kafka or KafkaSettings(stack.enter_context(EmbeddedKafka()).bootstrap)
        self.broker = broker
        ensure_topics(self.kafka)
        self._producer = CheckedProducer(self.kafka)
        self._stack = stack

    def tunnel(self, **settings: Any) -> Tunnel:
        return live_tunnel(self.kafka, self.broker.settings, **settings)

    def device(self, user_id: str) -> Device:
        device = Device(self.broker.settings, user_id)
        self._stack.callback(device.client.close)
        return device

    def send(self, topic: str, key: str, *values: bytes) -> None:
        for value in values:
            self._producer.send(topic, key, value, headers=_headers(value) if topic == CANDIDATES else None)
        self._producer.flush()

    def send_as(self, topic: str, key: bytes, value: bytes, headers: Mapping[str, bytes] | None = None) -> None:
        """A stranger's message."""
        self._producer.send(topic, key, value, headers=headers)
        self._producer.flush()

    def read(self, topic: str, number: int) -> list[Message]:
        messages: list[Message] = []
        assign = {(topic, partition): None for partition in range(4)}
        with BatchConsumer(self.kafka, "test", [], "earliest", assign=assign) as consumer:

            def enough() -> bool:
                messages.extend(consumer.poll())
                return len(messages) >= number

            wait_for(enough, f"{number} messages on {topic}")
        return messages

    def lag(self) -> int:
        return sum(lag(self.kafka.bootstrap, TUNNEL_GROUP, CANDIDATES).values())
