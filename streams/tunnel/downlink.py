"""The way down: Kafka `candidates`, `models` and `tasks` to retained MQTT topics, with a ledger of pushes.

A batch that waits for the broker is replaced when a newer one for its device comes: the newest wins, and
a broker that is away costs no more memory than one batch per device. An offset is committed once
everything before it was confirmed (or superseded), so a crash or a rebalance repeats and never skips.

The ledger reads the devices' answers from Kafka `telemetry`, where the way up puts them, and reads all of it:
with several tunnels an answer may arrive at any of them, and each closes the pushes it made itself.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from device_sim import topics as mqtt_topics
from device_sim.name import HEARD_S, Name
from monitor import metrics
from streams.bus import Message, Partition, Positions
from streams.kafka.bounds import bounds
from streams.kafka.connection import KafkaSettings
from streams.kafka.consumer import BatchConsumer
from streams.kafka.topics import CANDIDATES, MODELS, TASKS, TELEMETRY, TUNNEL_GROUP
from streams.mqtt.broker import WINDOW
from streams.mqtt.client import MqttClient
from streams.mqtt.connection import MqttSettings
from streams.progress import Progress
from streams.tunnel.ledger import Ledger, Tally
from streams.tunnel.opening import Opening
from streams.tunnel.unanswered import Unanswered
from wire.candidates import BATCH_BYTES
from wire.claim import Claim
from wire.clock import SystemClock
from wire.errors import DeliveryError
from wire.malformed import Malformed
from wire.model import decode_model, identify_model
from wire.push_headers import PushHeaders, addressee
from wire.reason import Reason
from wire.signing import open_model, open_task
from wire.succession import Succession
from wire.telemetry import Ack, Presence, Standing, decode_report

log = structlog.get_logger(__name__)

POLL_S = 0.02  # ours: how long an acknowledgement from the MQTT broker may lie unread
COMMIT_EVERY_S = 0.5  # ours: what a crash repeats
WAITING_BYTES = 256 << 20  # ours: then Kafka keeps the rest; 8,000 batches of 30 kB
REVOKE_LIMIT_S = 5.0  # ours: well within the 5 minutes that a group waits for a member in a rebalance
PRESENCE = next(each for each in mqtt_topics.UP if each.endswith("/presence"))
CURRENT = {MODELS: mqtt_topics.MODEL, TASKS: mqtt_topics.TASK}


@dataclass(frozen=True, slots=True)
class _Push:
    """One batch on its way: where it came from and until when it is of use (wall clock, ms)."""

    partition: Partition
    offset: int
    device: str
    seq: int
    produced_ms: int
    expires_ms: int
    payload: bytes


class Downlink:
    """Pushes batches, models and tasks down; all methods belong to one thread but `tally` and `acks`."""

    def __init__(
        self,
        kafka: KafkaSettings,
        mqtt: MqttSettings,
        claim: Claim,
        expiry_ms: int,
        public: Ed25519PublicKey | None = None,
    ) -> None:
        self.acks: dict[str, int] = {}  # acknowledged pushes by the device's answer
        self.current: dict[str, int] = dict.fromkeys(CURRENT, 0)  # versions passed on, per topic
        self._kafka, self._expiry_ms, self._public = kafka, expiry_ms, public
        # QoS 0: rumqttd hands at most 100 retained messages to a QoS 1 wildcard, and this only feeds a gauge.
        self._name = Name("tunnel", claim)
        client_id = f"coda-tunnel-{claim.name}-down-{claim.boot}"
        self._client = MqttClient(mqtt, client_id, [PRESENCE, self._name.topic], qos=0)
        self._ledger, self._counted = Ledger(), Tally(0, 0, 0, 0, 0)
        self._progress = Progress()
        self._uncommitted: Positions = {}
        self._next_commit_s = 0.0
        self._waiting: OrderedDict[str, _Push] = OrderedDict()
        self._waiting_bytes = 0
        self._unanswered: Unanswered[_Push] = Unanswered()
        self._retained: dict[str, bytes] = {}  # newest model and task
        self._succession = Succession()
        self._online: set[str] = set()
        self._connections = 0
        self._paused: list[Partition] = []

    def open(self) -> None:
        """Connect to both sides; raises `ConnectionFailed`, also when another tunnel of this name was there first."""
        self._client.open()
        opening = Opening(self._client, self._client.settings.address, SystemClock())
        while not opening.done():
            time.sleep(0.01)
        self._connections = self._client.connections
        self._client.publish(self._name.topic, self._name.said)
        heard_s = time.monotonic() + HEARD_S
        while time.monotonic() < heard_s:
            self._take_presence()
            self._client.taken()
            time.sleep(POLL_S)
        # Read the answers from before the first push: an ack that overtakes us would be missed.
        begin: dict[Partition, int | None] = {p: end for p, (_, end) in bounds(self._kafka, TELEMETRY).items()}
        begin |= {partition: None for topic in CURRENT for partition in bounds(self._kafka, topic)}
        self._reader = BatchConsumer(
            self._kafka, f"{TUNNEL_GROUP}-reader", [TELEMETRY, *CURRENT], "earliest", assign=begin
        )
        self._consumer = BatchConsumer(
            self._kafka, TUNNEL_GROUP, [CANDIDATES], on_assign=self._assigned, on_revoke=self._revoked
        )

    def step(self) -> None:
        """One round: read both sides, push what the window allows, count, commit."""
        self._take_batches(self._consumer.poll(timeout_s=POLL_S))
        self._throttle()
        self._settle()

    def drain(self, deadline_s: float) -> None:
        """Finish what was taken up, without new batches, until `deadline_s` (of `time.monotonic`).

        Everything waiting goes out, then answers are awaited; whatever is open at the end counts as expired.
        """
        while (self._ledger.tally().outstanding or self._client.unconfirmed) and time.monotonic() < deadline_s:
            self._settle()
            time.sleep(POLL_S)
        self._settle()
        self._commit()
        if self._progress.unfinished():
            log.warning(
                "batches not confirmed by MQTT; the next tunnel pushes them", batches=self._progress.unfinished()
            )
        self._ledger.close()
        self._export()

    def close(self) -> None:
        """Leave both brokers; commits nothing."""
        self._consumer.close()
        self._reader.close()
        self.leave()

    def leave(self) -> None:
        """Leave the MQTT broker."""
        self._client.close()

    def tally(self) -> Tally:
        """The ledger's counts."""
        return self._ledger.tally()

    def _settle(self) -> None:
        self._take_reports(self._reader.poll(timeout_s=0))
        self._take_presence()
        if self._client.connections != self._connections:
            self._restore()
        self._take_confirmed()
        self._send()
        self._ledger_tick()
        self._export()
        if time.monotonic() >= self._next_commit_s:
            self._commit()

    def _take_batches(self, messages: list[Message]) -> None:
        for message in messages:
            partition = (message.topic, message.partition)
            self._progress.started(partition, message.offset)
            try:
                device, push = _push_of(message, self._expiry_ms)
            except Malformed as error:
                metrics.tunnel_rejected.labels("malformed_batch").inc()
                log.error(str(error), partition=partition, offset=message.offset)
                self._progress.done(partition, message.offset)
                continue
            self._ledger.pushed(device, push.seq, push.expires_ms)
            self._drop(device)
            self._waiting[device] = push
            self._waiting_bytes += len(message.value)

    def _drop(self, device: str) -> None:
        """What waits for this device need not go out any more."""
        self._unanswered.pop(device)
        push = self._waiting.pop(device, None)
        if push is not None:
            self._waiting_bytes -= len(push.payload)
            self._progress.done(push.partition, push.offset)

    def _throttle(self) -> None:
        """Leave the rest to Kafka while too much waits; the consumer stays in its group meanwhile."""
        if not self._paused and self._waiting_bytes > WAITING_BYTES:
            self._paused = list(self._consumer.positions())
            self._consumer.pause(self._paused)
        elif self._paused and self._waiting_bytes < WAITING_BYTES // 2:
            self._consumer.resume(self._paused)
            self._paused = []

    def _send(self) -> None:
        now_ms = _now_ms()
        while self._waiting and self._client.connected and self._client.unconfirmed < WINDOW:
            device, push = self._waiting.popitem(last=False)
            self._waiting_bytes -= len(push.payload)
            self._publish(device, push, now_ms)

    def _publish(self, device: str, push: _Push, now_ms: int) -> None:
        # Rounded up: the broker may keep a batch a little longer than its budget, never shorter.
        left_s = -((now_ms - push.expires_ms) // 1000)
        if left_s <= 0:
            self._progress.done(push.partition, push.offset)
            return
        topic = mqtt_topics.candidates(device)
        self._client.publish(topic, push.payload, token=push, retain=True, expiry_s=left_s)

    def _take_confirmed(self) -> None:
        now_ms = _now_ms()
        for push in self._client.taken():
            if push is None:
                continue
            self._progress.done(push.partition, push.offset)
            metrics.freshness_s.labels("tunnelled").observe(max(0, now_ms - push.produced_ms) / 1000)
            if self._ledger.awaits(push.device) == push.seq:
                self._unanswered.put(push.device, push, len(push.payload))
        for push in filter(None, self._client.refused()):  # the device gets nothing of it, and its push expires
            self._progress.done(push.partition, push.offset)

    def _take_reports(self, messages: list[Message]) -> None:
        newer = set()
        for message in messages:
            if message.topic not in CURRENT:
                self._take_answer(message.value)
            elif self._is_current(message) and self._follows(message):
                newer.add(CURRENT[message.topic])
                self._retained[CURRENT[message.topic]] = message.value
                self.current[message.topic] += 1
        for topic in newer:
            self._client.publish(topic, self._retained[topic], retain=True, essential=True)

    def _follows(self, message: Message) -> bool:
        """Whether a model may take the place of the one before it on the topic; the tunnel knows no other."""
        if message.topic != MODELS:
            return True
        offer = self._succession.offer(*identify_model(open_model(message.value, self._public)))
        if offer.verdict.refused:
            metrics.models_refused.labels(offer.verdict).inc()
            log.error(f"passed over {message.topic}[{message.partition}] offset {message.offset}: {offer.why}")
        return not offer.verdict.refused

    def _is_current(self, message: Message) -> bool:
        """Whether it may take the place of what is retained: devices that come later get nothing else."""
        try:
            if message.topic == MODELS:
                decode_model(open_model(message.value, self._public))
            else:
                open_task(message.value, self._public)
        except Malformed as error:
            refused = error.reason if error.reason == Reason.UNSIGNED else "malformed"
            metrics.tunnel_rejected.labels(f"{refused}_{error.kind}").inc()
            log.error(f"passed over {message.topic}[{message.partition}] offset {message.offset}: {error}")
            return False
        return True

    def _take_answer(self, raw: bytes) -> None:
        try:
            report = decode_report(raw)
        except Malformed:
            metrics.tunnel_rejected.labels("malformed_telemetry").inc()
            return
        if not isinstance(report, Standing):
            return
        if self._ledger.acked(report.user_id, max(report.answers)):
            outcome = report.outcome if isinstance(report, Ack) else "reported"  # its ack was lost
            self.acks[outcome] = self.acks.get(outcome, 0) + 1
            metrics.push_acks.labels(outcome).inc()
        if self._ledger.awaits(report.user_id) is None:
            self._drop(report.user_id)

    def _take_presence(self) -> None:
        messages = self._client.received(10_000)
        for message in messages:
            if message.topic == self._name.topic:
                if self._name.hear(message.payload):
                    log.warning("another tunnel of our name came; it should end", name=self._name.claim.name)
                    self._client.publish(self._name.topic, self._name.said)
                continue
            try:
                report = decode_report(message.payload)
            except Malformed:
                continue  # the way up puts it on the dead letters
            if isinstance(report, Presence):
                (self._online.add if report.online else self._online.discard)(message.topic)
        if messages:
            metrics.devices_connected.set(len(self._online))

    def _restore(self) -> None:
        """The broker came back, perhaps with nothing: give it what it should have retained."""
        self._connections = self._client.connections
        self._online.clear()
        self._client.publish(self._name.topic, self._name.said)
        for topic, payload in self._retained.items():
            self._client.publish(topic, payload, retain=True, essential=True)
        self._waiting |= {push.device: push for push in self._unanswered}  # what waits already is newer: not among them
        self._waiting_bytes += self._unanswered.nbytes
        self._unanswered = Unanswered()

    def _ledger_tick(self) -> None:
        for device in self._ledger.tick(_now_ms()):
            self._drop(device)

    def _commit(self) -> None:
        self._next_commit_s = time.monotonic() + COMMIT_EVERY_S
        self._uncommitted |= self._progress.positions()
        try:
            if self._uncommitted:
                self._consumer.commit(self._uncommitted)
            self._uncommitted = {}
        except DeliveryError as error:
            log.warning("positions not committed, trying again", reason=str(error))

    def _assigned(self, begin: Positions) -> None:
        """Commit where we begin, so that everybody sees from now on how far behind we are (`streams.tunnel.room`)."""
        self._uncommitted |= begin

    def _revoked(self, partitions: list[Partition]) -> None:
        """Another tunnel takes over: let it have what waits, see to what is on the wire, commit, forget."""
        gone = set(partitions)
        for push in [p for p in (*self._waiting.values(), *self._unanswered) if p.partition in gone]:
            if self._waiting.pop(push.device, None) is not None:
                self._waiting_bytes -= len(push.payload)
                self._ledger.supersede(push.device)
            self._unanswered.pop(push.device)
        end_s = time.monotonic() + REVOKE_LIMIT_S
        while self._client.unconfirmed and time.monotonic() < end_s:
            self._take_confirmed()
            time.sleep(0.001)
        if self._client.unconfirmed:
            # They would reach the broker after the new owner's newer batches and be retained in their place.
            self._client.start_over()
        self._commit()
        for partition in partitions:
            self._progress.forget(partition)
            self._uncommitted.pop(partition, None)
        self._paused = [p for p in self._paused if p not in gone]

    def _export(self) -> None:
        now, before = self._ledger.tally(), self._counted
        metrics.pushes.inc(now.pushes - before.pushes)
        for outcome in ("acknowledged", "superseded", "expired"):
            metrics.push_outcomes.labels(outcome).inc(getattr(now, outcome) - getattr(before, outcome))
        metrics.pushes_outstanding.set(now.outstanding)
        self._counted = now


def _push_of(message: Message, expiry_ms: int) -> tuple[str, _Push]:
    """Whom a batch is for and what becomes of it, from key and headers alone; raises `Malformed`."""
    headers, device = PushHeaders.decode(message.headers), addressee(message.key)
    if not message.value:
        raise Malformed("batch", Reason.MALFORMED, f"nothing in it for {device!r}")
    if len(message.value) > BATCH_BYTES:
        raise Malformed("batch", Reason.TOO_LARGE, f"{len(message.value)} bytes for {device!r}, at most {BATCH_BYTES}")
    push = _Push(
        partition=(message.topic, message.partition),
        offset=message.offset,
        device=device,
        seq=headers.seq,
        produced_ms=headers.produced_ms,
        expires_ms=min(headers.matched_ms, _now_ms()) + expiry_ms,
        payload=message.value,
    )
    return device, push


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
