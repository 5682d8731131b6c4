"""The way up: what devices publish, to Kafka; then acknowledgement to the MQTT broker and receipts to the devices.

Works in batches: take what has come in, produce it, wait until Kafka has all of it, acknowledge in order.
Nothing is acknowledged that Kafka does not have, so a crash repeats (events are deduplicated by id) and
does not lose; beyond the broker's memory it is the device's outbox that keeps an event until its receipt.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import structlog

from device_sim import topics as mqtt_topics
from monitor import metrics
from streams.kafka.connection import KafkaSettings
from streams.kafka.producer import CheckedProducer
from streams.kafka.topics import DEAD_LETTERS, EVENTS
from streams.mqtt.broker import Received
from streams.mqtt.client import MqttClient
from streams.mqtt.connection import MqttSettings
from streams.tunnel.opening import Opening
from streams.tunnel.upload import Letter, Upload, read_upload
from wire.clock import SystemClock
from wire.dead_letter import DeadLetter
from wire.errors import DeliveryError
from wire.telemetry import Receipt, encode_report

log = structlog.get_logger(__name__)

BATCH = 2000  # ours: two batches of 10 ms carry 200,000 messages/s, far beyond what the client can read
WAIT_S = 0.1  # ours: how long a stop may go unnoticed
PATIENCE_S = 5.0  # ours: how long Kafka may take for a batch before we say so, each time
_RECEIPT = 200  # events of one receipt: a device that sends thousands gets no message too large for the broker
# All tunnels share these subscriptions, so each message goes to one of them. A group per kind of message, because
# rumqttd keeps one position per group, whatever its topics. No lasting sessions: a broker would go on to queue a
# share of the messages for a tunnel that died, and rumqttd does not survive the death of a group's last such member.
SHARED = tuple(f"$share/coda-tunnel-{each.rpartition('/')[2]}/{each}" for each in mqtt_topics.UP)


class Uplink:
    """Passes uploads on; all methods belong to one thread but `counts` and `end_by`."""

    def __init__(self, kafka: KafkaSettings, mqtt: MqttSettings, name: str) -> None:
        self.counts: Counter[str] = Counter()  # letters per Kafka topic, dead letters by reason
        # A batch that Kafka did not take is given to a new producer: give up on a producer sooner than its default.
        self._kafka = replace(kafka, delivery_timeout_s=60)
        self._client = MqttClient(mqtt, f"coda-tunnel-{name}-up", SHARED)
        self._give_up_s = float("inf")

    def open(self) -> None:
        """Connect to both sides; raises `ConnectionFailed`."""
        self._producer = self._new_producer()
        self._client.open()
        opening = Opening(self._client, self._client.settings.address, SystemClock())
        while not opening.done():
            time.sleep(0.01)

    def step(self, timeout_s: float = WAIT_S) -> int:
        """Pass on what has come in, waiting up to `timeout_s` for the first message; how many there were."""
        messages = self._client.received(BATCH, timeout_s)
        if messages:
            uploads = [read_upload(m.topic, m.payload) for m in messages]
            self._deliver(
                [letter for upload in uploads for letter in upload.letters],
                [letter for upload in uploads for letter in upload.dead],
            )
            self._answer(messages, uploads)
        self._client.taken()
        return len(messages)

    def end_by(self, deadline_s: float) -> None:
        """Wait for Kafka no longer than until `deadline_s` (of `time.monotonic`), in a step too; from any thread."""
        self._give_up_s = deadline_s

    def drain(self, deadline_s: float) -> None:
        """Take no more and pass on what is here, until `deadline_s` (of `time.monotonic`)."""
        self.end_by(deadline_s)
        self._client.unsubscribe()
        more = self.step()
        while (more or self._client.unconfirmed) and time.monotonic() < deadline_s:
            more = self.step()
        if left := self._client.unconfirmed:
            log.warning("receipts that the MQTT broker has not confirmed; devices send those events again", number=left)

    def close(self) -> None:
        """Leave both brokers."""
        self.leave()

    def leave(self) -> None:
        """Leave the MQTT broker."""
        self._client.close()

    def _deliver(self, letters: Sequence[Letter], dead: Sequence[DeadLetter]) -> None:
        self._send(letters, dead)
        while not self._flushed(len(letters) + len(dead)):
            if self._failed():
                self._producer = self._new_producer()
                self._send(letters, dead)
        self._count(letters, dead)

    def _new_producer(self) -> CheckedProducer:
        return CheckedProducer(self._kafka, stopping=lambda: time.monotonic() > self._give_up_s)

    def _flushed(self, number: int) -> bool:
        """Whether Kafka has the batch now; raises `DeliveryError` when the drain's time is over."""
        try:
            self._producer.flush(PATIENCE_S)
        except DeliveryError:
            if time.monotonic() > self._give_up_s:
                raise
            log.warning("Kafka does not take uploads, trying until it does; devices keep their events", waiting=number)
            return False
        return True

    def _failed(self) -> bool:
        """Whether the producer has given up on a message, so that a new one has to send the batch again."""
        try:
            self._producer.poll()
        except DeliveryError:
            return True
        return False

    def _send(self, letters: Sequence[Letter], dead: Sequence[DeadLetter]) -> None:
        for letter in letters:
            self._producer.send(letter.topic, letter.key, letter.value)
        for refused in dead:
            self._producer.send(DEAD_LETTERS, refused.key, refused.value, headers=refused.headers)

    def _count(self, letters: Sequence[Letter], dead: Sequence[DeadLetter]) -> None:
        self.counts.update(letter.topic for letter in letters)
        metrics.uploads.inc(sum(letter.topic == EVENTS for letter in letters))
        for refused in dead:
            self.counts[f"dead: {refused.reason}"] += 1
            metrics.tunnel_rejected.labels(refused.reason).inc()
            if refused.of_event:
                metrics.rejected.labels(refused.reason).inc()
        if dead:
            first = dead[0]
            log.warning("dead letters", number=len(dead), source=first.origin.source, first=first.detail)

    def _answer(self, messages: Sequence[Received], uploads: Sequence[Upload]) -> None:
        self._client.acknowledge(messages)
        receipts: dict[str, list[str]] = {}
        for upload in uploads:
            if upload.event_ids:
                receipts.setdefault(upload.device, []).extend(upload.event_ids)
        for device, event_ids in receipts.items():
            for part in range(0, len(event_ids), _RECEIPT):
                receipt = encode_report(Receipt(tuple(event_ids[part : part + _RECEIPT])))
                self._client.publish(mqtt_topics.receipts(device), receipt)
