"""The phases of one way of the tunnel, and how long its client may take for the first connection (sans-I/O)."""

from enum import Enum

from streams.mqtt.broker import Broker, Client
from wire.clock import Clock
from wire.errors import ConnectionFailed

LIMIT_MS = 10_000


class Phase(Enum):
    """What a way does in its steps, in this order."""

    OPENING = "waits for its connection"
    CARRYING = "carries"
    DRAINING = "finishes what it has taken up"
    ENDED = "has nothing more to do"


class Opening:
    """One client on its way to a broker; made when it is opened."""

    def __init__(self, client: Client, broker: Broker, clock: Clock) -> None:
        self._client, self._broker, self._clock = client, broker, clock
        self._by_ms = clock.steady_ms() + LIMIT_MS

    def done(self) -> bool:
        """Whether its subscriptions stand; raises `ConnectionFailed` when they never will, or not in time."""
        self._client.taken()
        if not self._client.connected and self._clock.steady_ms() > self._by_ms:
            raise ConnectionFailed(f"the MQTT broker at {self._broker.address} accepts no subscriptions; see its log")
        return self._client.connected
