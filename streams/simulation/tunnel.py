"""The tunnel of a simulation: both ways stepped by one process."""

from monitor.metrics import Metrics
from streams.simulation.bus import SimulatedBus
from streams.simulation.mqtt import SimulatedBroker, SimulatedClient
from streams.simulation.timeline import VirtualClock
from streams.simulation.trainer import PUBLIC
from streams.tunnel.downlink import Downlink
from streams.tunnel.uplink import Uplink
from wire.claim import Claim


class _Clients:
    """The broker as one process sees it: when it dies, its clients are gone."""

    def __init__(self, broker: SimulatedBroker) -> None:
        self._broker, self.address, self.note = broker, broker.address, broker.note
        self.made: list[SimulatedClient] = []

    def client(self, client_id: str, subscriptions: object = (), *, qos: int = 1) -> SimulatedClient:
        """A client, remembered."""
        self.made.append(self._broker.client(client_id, subscriptions, qos=qos))  # type: ignore[arg-type]
        return self.made[-1]


class TunnelWork:
    """One run of a tunnel."""

    def __init__(
        self,
        bus: SimulatedBus,
        broker: SimulatedBroker,
        clock: VirtualClock,
        metrics: Metrics,
        *,
        name: str,
        expiry_ms: int,
    ) -> None:
        self._bus, self._clients = bus, _Clients(broker)
        claim = Claim(name, f"{clock.wall_ms():x}", clock.wall_ms())
        self.down = Downlink(bus, self._clients, clock, claim, metrics=metrics, expiry_ms=expiry_ms, public=PUBLIC)
        self.up = Uplink(bus, self._clients, clock, name, metrics)
        for way in (self.down, self.up):
            way.open()

    def step(self) -> None:
        """One round of each way."""
        self.down.step()
        self.up.step()

    def kill(self) -> None:
        """The process is gone."""
        if any(client.unconfirmed for client in self._clients.made):
            self._clients.note("the tunnel died with messages on the wire")
        self._bus.kill()
        for client in self._clients.made:
            client.kill()
