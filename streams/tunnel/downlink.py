"""The way down: Kafka `candidates`, `models` and `tasks` to retained MQTT topics, with a ledger of pushes.

A batch that waits for the broker is replaced when a newer one for its device comes: the newest wins, and
a broker that is away costs no more memory than one batch per device. An offset is committed once
everything before it was confirmed (or superseded), so a crash or a rebalance repeats and never skips.

The ledger reads the devices' answers from Kafka `telemetry`, where the way up puts them, and reads all of it:
with several tunnels an answer may arrive at any of them, and each closes the pushes it made itself.
"""

from collections import Counter
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from device_sim import topics as mqtt_topics
from device_sim.name import HEARD_S, Name
from monitor.metrics import Metrics
from streams.bus import BY_THE_WAY_MS, Bus, Message, Partition, Positions
from streams.kafka.topics import CANDIDATES, TELEMETRY, TUNNEL_GROUP
from streams.mqtt.broker import WINDOW, Broker
from streams.offset_tracker import OffsetTracker
from streams.tunnel.current import CURRENT, Current
from streams.tunnel.ledger import Ledger, Tally
from streams.tunnel.phase import Opening, Phase
from streams.tunnel.push import Push, PushQueue
from streams.tunnel.unanswered import Unanswered
from wire.canary import is_canary
from wire.claim import Claim
from wire.clock import Clock
from wire.errors import DeliveryError
from wire.malformed import Malformed
from wire.status import Frontier
from wire.telemetry import Ack, Presence, Standing, decode_report

log = structlog.get_logger(__name__)

POLL_S = 0.02  # how long an acknowledgement from the MQTT broker may lie unread
_IDLE_S = 0.2  # while none is to come: how long what devices answer, a new model or a stop may
COMMIT_EVERY_MS = 200  # what a crash repeats; an embedded dataflow waits for it (`streams.tunnel.room`)
WAITING_BYTES = 256 << 20  # then Kafka keeps the rest; 8,000 batches of 30 kB
PRESENCE = next(each for each in mqtt_topics.UP if each.endswith("/presence"))


class Downlink:
    """Pushes batches, models and tasks down, a step at a time. All belongs to one thread but `tally`, `acks`, `pushed`.

    Models and tasks that the key of `public` did not sign are not passed on (None: whoever signed them).
    """

    def __init__(
        self,
        bus: Bus,
        broker: Broker,
        clock: Clock,
        claim: Claim,
        *,
        metrics: Metrics,
        expiry_ms: int,
        public: Ed25519PublicKey | None = None,
    ) -> None:
        self.acks: Counter[str] = Counter()  # acknowledged pushes by the device's answer
        self.pushed: Frontier | None = None  # how far devices have answered
        self.phase = Phase.OPENING
        self._bus, self._broker, self._clock, self._expiry_ms = bus, broker, clock, expiry_ms
        self._metrics = metrics
        # QoS 0: rumqttd hands at most 100 retained messages to a QoS 1 wildcard, and this only feeds a gauge.
        self._name = Name("tunnel", claim)
        client_id = f"coda-tunnel-{claim.name}-down-{claim.boot}"
        self._client = broker.client(client_id, [PRESENCE, self._name.topic], qos=0)
        self._current = Current(metrics, public)
        self._ledger, self._counted = Ledger(), Tally(0, 0, 0, 0, 0)
        self._offsets = OffsetTracker()
        self._uncommitted: Positions = {}
        self._commit_at_ms = 0
        self._waiting = PushQueue()
        self._unanswered: Unanswered[Push] = Unanswered(metrics)
        self._online: dict[str, int] = {}  # by presence topic, in which connection we heard so
        self._connections = 0  # those in which the broker was told all that it should have
        self._paused: list[Partition] = []
        self._heard_by_ms = self._drained_by_ms = float("inf")
        self._reads = False

    def open(self) -> None:
        """Begin to connect; raises `ConnectionFailed`, later also from `step`, as for a name that is taken."""
        self._client.open()
        self._opening = Opening(self._client, self._broker, self._clock)

    def step(self) -> None:
        """One round: connect, or read both sides, push what the window allows, count, commit."""
        match self.phase:
            case Phase.OPENING:
                self._take_presence(POLL_S)
                if self._opening.done():
                    self._listen()
            case Phase.CARRYING:
                self._take_batches(self._consumer.poll(timeout_s=POLL_S if self._client.unconfirmed else _IDLE_S))
                self._throttle()
                self._settle()
            case Phase.DRAINING:
                self._settle(POLL_S)
                finished = not self._ledger.tally().outstanding and not self._client.unconfirmed
                if finished or self._clock.steady_ms() >= self._drained_by_ms:
                    self._end()

    def drain(self, within_s: float) -> None:
        """Take up no new batches, and finish those taken up in the next steps, for so long.

        Everything waiting goes out, then answers are awaited; whatever is open at the end counts as expired.
        """
        self.phase = Phase.DRAINING
        self._drained_by_ms = self._clock.steady_ms() + within_s * 1000

    def close(self) -> None:
        """Leave both brokers; commits nothing.

        MQTT first: what is unconfirmed there must not follow the newer batches of whoever has our partitions next.
        """
        self._client.close()
        if self._reads:
            self._consumer.close()
            self._reader.close()

    @property
    def versions(self) -> dict[str, int]:
        """How many versions were passed on, per Kafka topic."""
        return self._current.versions

    def tally(self) -> Tally:
        """The ledger's counts."""
        return self._ledger.tally()

    def _listen(self) -> None:
        """Say our name and keep still for a while: an earlier tunnel of that name answers (`device_sim.name`)."""
        now_ms = self._clock.steady_ms()
        if not self._connections:
            self._connections = self._client.connections
            self._client.publish(self._name.topic, self._name.said)
            self._heard_by_ms = now_ms + HEARD_S * 1000
        if now_ms >= self._heard_by_ms:
            self._begin()

    def _begin(self) -> None:
        """Read Kafka; answers from before the first push: an ack that overtakes us would be missed."""
        begin: dict[Partition, int | None] = {p: end for p, (_, end) in self._bus.bounds(TELEMETRY).items()}
        begin |= {partition: None for topic in CURRENT for partition in self._bus.bounds(topic)}
        self._reader = self._bus.consumer(
            f"{TUNNEL_GROUP}-reader", [TELEMETRY, *CURRENT], "earliest", assign=begin, within_ms=BY_THE_WAY_MS
        )
        self._consumer = self._bus.consumer(
            TUNNEL_GROUP, [CANDIDATES], on_assign=self._assigned, on_revoke=self._revoked
        )
        self._reads, self.phase = True, Phase.CARRYING

    def _settle(self, wait_s: float = 0) -> None:
        self._take_reports(self._reader.poll(timeout_s=wait_s))
        self._take_presence()
        if self._client.connections != self._connections:
            self._restore()
        self._take_confirmed(self._client.taken())
        self._send()
        self._ledger_tick()
        self._export()
        if self._clock.steady_ms() >= self._commit_at_ms:
            self._commit()

    def _end(self) -> None:
        self._settle()
        self._commit()
        if self._offsets.unfinished():
            log.warning(
                "batches not confirmed by MQTT; the next tunnel pushes them", batches=self._offsets.unfinished()
            )
        self._ledger.close()
        self._export()
        self.phase = Phase.ENDED

    def _take_batches(self, messages: list[Message]) -> None:
        for message in messages:
            partition = (message.topic, message.partition)
            self._offsets.started(partition, message.offset)
            try:
                push = Push.of(message, self._expiry_ms, self._clock.wall_ms())
            except Malformed as error:
                self._metrics.tunnel_rejected.labels("malformed_batch").inc()
                log.error(str(error), partition=partition, offset=message.offset)
                self._offsets.done(partition, message.offset)
                continue
            if not is_canary(push.device):
                self._ledger.pushed(push.device, push.seq, push.expires_ms)
            self._drop(push.device)
            self._waiting.put(push)

    def _drop(self, device: str) -> None:
        """What waits for this device need not go out any more."""
        self._unanswered.pop(device)
        if (push := self._waiting.pop(device)) is not None:
            self._offsets.done(push.partition, push.offset)

    def _throttle(self) -> None:
        """Leave the rest to Kafka while too much waits; the consumer stays in its group meanwhile."""
        if not self._paused and self._waiting.nbytes > WAITING_BYTES:
            self._paused = list(self._consumer.positions())
            self._consumer.pause(self._paused)
        elif self._paused and self._waiting.nbytes < WAITING_BYTES // 2:
            self._consumer.resume(self._paused)
            self._paused = []

    def _send(self) -> None:
        now_ms = self._clock.wall_ms()
        while self._waiting and self._client.connected and self._client.unconfirmed < WINDOW:
            push = self._waiting.first()
            left_s = push.left_s(now_ms)
            if left_s <= 0:
                self._offsets.done(push.partition, push.offset)
                continue
            topic = mqtt_topics.candidates(push.device)
            kept = not is_canary(push.device)  # a canary that comes late has not come
            self._client.publish(topic, push.payload, token=push, retain=kept, expiry_s=left_s)

    def _take_confirmed(self, taken: list[Any]) -> None:
        now_ms = self._clock.wall_ms()
        for push in filter(None, taken):
            self._offsets.done(push.partition, push.offset)
            if not is_canary(push.device):
                self._metrics.freshness_s.labels("tunnelled").observe(max(0, now_ms - push.produced_ms) / 1000)
            if self._ledger.awaits(push.device) == push.seq:
                self._unanswered.put(push.device, push, len(push.payload))
        for push in filter(None, self._client.refused()):  # the device gets nothing of it, and its push expires
            self._offsets.done(push.partition, push.offset)

    def _take_reports(self, messages: list[Message]) -> None:
        newer = set()
        for message in messages:
            if message.topic not in CURRENT:
                self._take_answer(message.value)
            elif topic := self._current.take(message):
                newer.add(topic)
        for topic in sorted(newer):
            self._client.publish(topic, self._current.retained[topic], retain=True, essential=True)

    def _take_answer(self, raw: bytes) -> None:
        try:
            report = decode_report(raw)
        except Malformed:
            self._metrics.tunnel_rejected.labels("malformed_telemetry").inc()
            return
        if not isinstance(report, Standing) or is_canary(report.user_id):
            return
        if self._ledger.acked(report.user_id, max(report.answers)):
            outcome = report.outcome if isinstance(report, Ack) else "reported"  # its ack was lost
            self.acks[outcome] += 1
            self._metrics.push_acks.labels(outcome).inc()
        if self._ledger.awaits(report.user_id) is None:
            self._drop(report.user_id)

    def _take_presence(self, wait_s: float = 0) -> None:
        messages = self._client.received(10_000, wait_s)
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
            if isinstance(report, Presence) and report.online:
                self._online[message.topic] = message.connection
            elif isinstance(report, Presence):
                self._online.pop(message.topic, None)
        if messages:
            self._metrics.devices_connected.set(len(self._online))

    def _restore(self) -> None:
        """The broker came back, perhaps with nothing: give it what it should have retained."""
        self._connections = self._client.connections
        # Of this connection some may have been heard already; of those before it, who went meanwhile is not told.
        self._online = {topic: heard for topic, heard in self._online.items() if heard == self._connections}
        self._client.publish(self._name.topic, self._name.said)
        for topic, payload in self._current.retained.items():
            self._client.publish(topic, payload, retain=True, essential=True)
        for push in self._unanswered:  # what waits already is newer: not among them
            self._waiting.put(push)
        self._unanswered = Unanswered(self._metrics)

    def _ledger_tick(self) -> None:
        for device in self._ledger.tick(self._clock.wall_ms()):
            self._drop(device)

    def _commit(self) -> None:
        self._commit_at_ms = self._clock.steady_ms() + COMMIT_EVERY_MS
        self.pushed = self._answered()
        self._uncommitted |= self._offsets.positions()
        try:
            if self._uncommitted:
                self._consumer.commit(self._uncommitted)
            self._uncommitted = {}
        except DeliveryError as error:
            log.warning("positions not committed, trying again", reason=str(error))

    def _answered(self) -> Frontier:
        """Up to which moment every push is answered for whose device is there."""
        expiries = [
            expires_ms
            for device, expires_ms in self._ledger.unanswered()
            if mqtt_topics.presence(device) in self._online
        ]
        pushes = self._ledger.pushes
        until_ms = min(expiries) - self._expiry_ms if expiries else self._clock.wall_ms()
        return Frontier("pushed", -1, pushes - len(expiries), pushes, until_ms)

    def _assigned(self, begin: Positions) -> None:
        """Commit where we begin, so that everybody sees from now on how far behind we are (`streams.tunnel.room`)."""
        self._uncommitted |= begin

    def _revoked(self, partitions: list[Partition]) -> None:
        """Another tunnel takes over: let it have what waits and what is on the wire, commit, forget."""
        # What is unconfirmed would reach the broker after the new owner's newer batches and be retained in their place,
        # and so would what is confirmed, if it stayed among what a broker that comes back is given again.
        self._take_confirmed(self._client.start_over() if self._client.unconfirmed else self._client.taken())
        gone = set(partitions)
        for push in [p for p in (*self._waiting, *self._unanswered) if p.partition in gone]:
            if self._waiting.pop(push.device) is not None:
                self._ledger.supersede(push.device)
            self._unanswered.pop(push.device)
        self._commit()
        for partition in partitions:
            self._offsets.forget(partition)
            self._uncommitted.pop(partition, None)
        self._paused = [p for p in self._paused if p not in gone]

    def _export(self) -> None:
        now, before = self._ledger.tally(), self._counted
        self._metrics.pushes.inc(now.pushes - before.pushes)
        for outcome in ("acknowledged", "superseded", "expired"):
            self._metrics.push_outcomes.labels(outcome).inc(getattr(now, outcome) - getattr(before, outcome))
        self._metrics.pushes_outstanding.set(now.outstanding)
        self._counted = now
