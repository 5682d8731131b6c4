"""The devices' link in a simulation: one simulated MQTT client per device, and one for what all of them get."""

from device_sim import topics
from device_sim.link import LEAVES, SHARED, UPWARD, Arrival
from streams.simulation.mqtt import SimulatedBroker, SimulatedClient, Will
from wire.ids import topic_part
from wire.telemetry import Presence, encode_report


class SimulatedLink:
    """A `device_sim.link.Link` for the fleet `name`; `kill` is what the death of its process does."""

    def __init__(self, broker: SimulatedBroker, name: str) -> None:
        self._broker, self._name = broker, name
        self._arrivals: list[Arrival] = []
        self.clients: dict[str, SimulatedClient] = {}
        self._shared = SimulatedClient(broker, name, list(SHARED), on_message=self._for_all)
        self._shared.begin()

    def open(self, user_id: str) -> None:
        """Connect this device, also one that is unplugged."""
        if user_id in self.clients:
            self.clients[user_id].plug_in()
            return
        goodbye = Will(topics.presence(user_id), encode_report(Presence(user_id, online=False)))
        leaves = {topic(user_id): kind for kind, topic in LEAVES.items()}
        self.clients[user_id] = SimulatedClient(
            self._broker,
            f"{self._name}-{topic_part(user_id)}",
            list(leaves),
            will=goodbye,
            on_up=lambda: self._up(user_id),
            on_down=lambda: self._arrivals.append(Arrival("down", user_id)),
            on_unheard=lambda topic: self._unheard(user_id, topic),
            on_message=lambda topic, payload: self._arrivals.append(Arrival(leaves[topic], user_id, payload)),
            repeats=True,
        )
        self.clients[user_id].begin()

    def unplug(self, user_id: str) -> None:
        """Cut this device off until it is opened again."""
        self.clients[user_id].unplug()

    def leave(self, user_id: str) -> None:
        """The device is gone for good."""
        self.clients.pop(user_id).close()

    def publish(self, user_id: str, leaf: str, payload: bytes) -> None:
        """Send up on the device's topic `leaf`."""
        self.clients[user_id].publish(UPWARD[leaf](user_id), payload)

    def take(self) -> list[Arrival]:
        """What came since the last call."""
        taken, self._arrivals = self._arrivals, []
        return taken

    async def wait(self, timeout_s: float) -> None:
        """Nobody waits in a simulation."""

    async def close(self) -> None:
        """Say goodbye for every device."""
        for client in (*self.clients.values(), self._shared):
            client.close()

    def kill(self) -> None:
        """All connections end without a word."""
        for client in (*self.clients.values(), self._shared):
            client.kill()

    def _up(self, user_id: str) -> None:
        presence = encode_report(Presence(user_id, online=True))
        self.clients[user_id].publish(topics.presence(user_id), presence, retain=True)
        self._arrivals.append(Arrival("up", user_id))

    def _unheard(self, user_id: str, topic: str) -> None:
        if topic == topics.events(user_id):
            self._arrivals.append(Arrival("unheard", user_id))

    def _for_all(self, topic: str, payload: bytes) -> None:
        self._arrivals.append(Arrival(SHARED[topic], payload=payload))
