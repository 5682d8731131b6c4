"""The canary's device: sends one a second by MQTT, and answers what comes back, a step at a time."""

import structlog

from device_sim import topics
from monitor.metrics import Metrics
from monitor.seldom import Seldom
from streams.canary.flights import Flights
from streams.mqtt.broker import Broker
from wire.batch import decode_batch
from wire.clock import Clock
from wire.malformed import Malformed
from wire.telemetry import encode_report

EVERY_MS = 1000
_WAIT_S = 0.1
_MOST = 100

_log = structlog.get_logger()


class CanaryDevice:
    """One device; `name` tells it from other canaries on the same brokers."""

    def __init__(self, user_id: str, broker: Broker, clock: Clock, boot: str, metrics: Metrics) -> None:
        self.flights = Flights(user_id, clock, metrics)
        self._clock, self._user_id = clock, user_id
        self._client = broker.client(f"coda-canary-{boot}", [topics.candidates(user_id)])
        self._next_ms = 0
        self._say = Seldom(lambda: clock.steady_ms() / 1000)

    def open(self) -> None:
        """Begin to connect; raises `ConnectionFailed` where there is no broker."""
        self._client.open()

    def step(self) -> None:
        """Send what is due and take what came; raises `ConnectionFailed` from a broker that will never have us."""
        self._client.taken()
        if self._clock.steady_ms() >= self._next_ms:
            self._next_ms = self._clock.steady_ms() + EVERY_MS
            self.flights.give_up()
            self._client.publish(topics.requests(self._user_id), encode_report(self.flights.send()))
        came = self._client.received(_MOST, _WAIT_S)
        for message in came:
            try:
                if (answer := self.flights.take(decode_batch(message.payload))) is not None:
                    self._client.publish(topics.ack(self._user_id), encode_report(answer))
            except Malformed as error:
                self._say.warning(f"what came to the canary is no batch: {error}")
        self._client.acknowledge(came)

    def close(self) -> None:
        """Leave the broker."""
        self._client.close()
