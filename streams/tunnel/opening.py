"""How long a client of the tunnel may take for its first connection (sans-I/O)."""

from streams.mqtt.broker import Client
from wire.clock import Clock
from wire.errors import ConnectionFailed

LIMIT_MS = 10_000


class Opening:
    """One client on its way to `address`; made when it is opened."""

    def __init__(self, client: Client, address: str, clock: Clock) -> None:
        self._client, self._address, self._clock = client, address, clock
        self._by_ms = clock.steady_ms() + LIMIT_MS

    def done(self) -> bool:
        """Whether its subscriptions stand; raises `ConnectionFailed` when they never will, or not in time."""
        self._client.taken()
        if not self._client.connected and self._clock.steady_ms() > self._by_ms:
            raise ConnectionFailed(f"the MQTT broker at {self._address} accepts no subscriptions; see its log")
        return self._client.connected
