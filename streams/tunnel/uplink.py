"""The way up: what devices publish, to Kafka; then acknowledgement to the MQTT broker and receipts to the devices.

Works in batches: take what has come in, produce it, wait until Kafka has all of it, acknowledge in order.
Nothing is acknowledged that Kafka does not have, so a crash repeats (events are deduplicated by id) and
does not lose; beyond the broker's memory it is the device's outbox that keeps an event until its receipt.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from device_sim import topics as mqtt_topics
from monitor.metrics import Metrics
from monitor.seldom import Seldom
from streams.bus import Bus
from streams.kafka.topics import EVENTS
from streams.mqtt.broker import Broker, Received
from streams.tunnel.allowance import DEFAULT, Allowances, Rate
from streams.tunnel.courier import WAIT_S, Courier
from streams.tunnel.phase import Opening, Phase
from streams.tunnel.storm import Storm
from streams.tunnel.upload import Letter, Upload, read_upload
from wire.canary import is_canary
from wire.clock import Clock
from wire.dead_letter import DeadLetter
from wire.pace import encode_pace
from wire.reason import Reason
from wire.telemetry import Receipt, encode_report

log = structlog.get_logger(__name__)

BATCH = 2000  # two batches of 10 ms carry 200,000 messages/s, far beyond what the client can read
_DEVICE_CHARS = 256  # of a name that is counted by; a longer one is refused (`streams.tunnel.upload`)
_RECEIPT = 200  # events of one receipt: a device that sends thousands gets no message too large for the broker
# All tunnels share these subscriptions, so each message goes to one of them. A group per kind of message, because
# rumqttd keeps one position per group, whatever its topics. No lasting sessions: a broker would go on to queue a
# share of the messages for a tunnel that died, and rumqttd does not survive the death of a group's last such member.
SHARED = tuple(f"$share/coda-tunnel-{each.rpartition('/')[2]}/{each}" for each in mqtt_topics.UP)


class _Batch(NamedTuple):
    """What came in at once, and what goes to Kafka of it."""

    messages: Sequence[Received]
    uploads: Sequence[Upload]
    letters: Sequence[Letter]
    dead: Sequence[DeadLetter]

    @classmethod
    def of(cls, messages: Sequence[Received], uploads: Sequence[Upload]) -> "_Batch":
        letters = [letter for upload in uploads for letter in upload.letters]
        return cls(messages, uploads, letters, [letter for upload in uploads for letter in upload.dead])


class Uplink:
    """Passes uploads on, a step at a time; all methods belong to one thread but `counts`."""

    def __init__(
        self, bus: Bus, broker: Broker, clock: Clock, name: str, metrics: Metrics, *, rate: Rate = DEFAULT
    ) -> None:
        self.counts: Counter[str] = Counter()  # letters per Kafka topic, dead letters by reason
        self.phase = Phase.OPENING
        self._bus, self._broker, self._clock, self._metrics = bus, broker, clock, metrics
        self._client = broker.client(f"coda-tunnel-{name}-up", SHARED)
        self._storm = Storm()
        self._allowances, self._say = Allowances(rate), Seldom(lambda: clock.steady_ms() / 1000)
        self._batch: _Batch | None = None  # on its way into Kafka
        self._drained_by_ms = float("inf")

    def open(self) -> None:
        """Begin to connect to both sides; raises `ConnectionFailed`."""
        self._courier = Courier(self._bus, self._clock)
        self._client.open()
        self._opening = Opening(self._client, self._broker, self._clock)

    def step(self) -> None:
        """Take what has come in, or see whether Kafka has it by now and answer for it."""
        match self.phase:
            case Phase.OPENING:
                self._client.received(0, WAIT_S)
                if self._opening.done():
                    self.phase = Phase.CARRYING
            case Phase.CARRYING:
                self._carry()
            case Phase.DRAINING:
                idle = not self._carry()
                if (idle and not self._client.unconfirmed) or self._clock.steady_ms() > self._drained_by_ms:
                    self._end()

    def drain(self, within_s: float) -> None:
        """Take no more, and pass on what is here in the next steps, for so long."""
        self.phase = Phase.DRAINING
        self._drained_by_ms = self._clock.steady_ms() + within_s * 1000
        self._courier.end_by(self._drained_by_ms)
        self._client.unsubscribe()

    def close(self) -> None:
        """Leave the MQTT broker."""
        self._client.close()

    def _carry(self) -> bool:
        """Whether there was anything to do."""
        if self._batch is None and (messages := self._client.received(BATCH, WAIT_S)):
            self._batch = _Batch.of(messages, [self._read(m) for m in messages])
            self._courier.take(self._batch.letters, self._batch.dead)
            self._steer([upload.device for upload in self._batch.uploads if upload.came])
        busy = self._batch is not None
        if self._batch is not None and self._courier.arrived():
            self._count(self._batch.letters, self._batch.dead, sum(u.over_rate for u in self._batch.uploads))
            self._answer(self._batch.messages, self._batch.uploads)
            self._batch = None
        self._client.taken()
        return busy

    def _read(self, message: Received) -> Upload:
        """What a message is, unless its device sends too much: then it is dropped, and the device keeps its events.

        On the dead letters it would let a device fill Kafka with what it may not send.
        """
        device = mqtt_topics.device_of(message.topic)[0][:_DEVICE_CHARS]
        if self._allowances.take(device, len(message.payload), self._clock.steady_ms()):
            return read_upload(message.topic, message.payload)
        self._say.warning(f"the device {device!r} sends more than --device-kib-per-s allows: dropped")
        return Upload(device, over_rate=True)

    def _steer(self, came: Sequence[str]) -> None:
        """Tell devices to spread out the next time, if too many came at once."""
        now_s = self._clock.steady_ms() / 1000
        for device in came:
            if (pace := self._storm.came(device, now_s)) is not None:
                log.warning("many devices came back at once; they are told to spread out", spread_s=pace.spread_s)
                self._client.publish(mqtt_topics.PACE, encode_pace(pace), retain=True, expiry_s=round(pace.lasts_s))

    def _end(self) -> None:
        if left := self._client.unconfirmed:
            log.warning("receipts that the MQTT broker has not confirmed; devices send those events again", number=left)
        self.phase = Phase.ENDED

    def _count(self, letters: Sequence[Letter], dead: Sequence[DeadLetter], over_rate: int) -> None:
        if over_rate:
            self.counts[Reason.RATE] += over_rate
            self._metrics.tunnel_rejected.labels(Reason.RATE).inc(over_rate)
        self.counts.update(letter.topic for letter in letters if not is_canary(letter.key.decode()))
        self._metrics.uploads.inc(sum(letter.topic == EVENTS for letter in letters))
        for refused in dead:
            self.counts[f"dead: {refused.reason}"] += 1
            self._metrics.tunnel_rejected.labels(refused.reason).inc()
            if refused.of_event:
                self._metrics.rejected.labels(refused.reason).inc()
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
