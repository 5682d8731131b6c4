"""A link and a broker within the process, for tests of what stands on them."""

from collections import defaultdict

from device_sim import topics
from device_sim.link import LEAVES, SHARED, UPWARD, Arrival
from wire.telemetry import Presence, encode_report


class MemoryBroker:
    """As much of an MQTT broker as `MemoryLink` needs: topics, retained messages, last wills."""

    def __init__(self) -> None:
        self.retained: dict[str, bytes] = {}
        self.published: list[tuple[str, bytes]] = []
        self._links: list[MemoryLink] = []

    def attach(self, link: "MemoryLink") -> None:
        """Deliver to this link from now on."""
        self._links.append(link)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Take a message and hand it to whoever subscribed; an empty retained one forgets the topic."""
        self.published.append((topic, payload))
        if retain:
            self.retained[topic] = payload
        for link in self._links:
            link.deliver(topic, payload)


class MemoryLink:
    """A link within the process, at once and without loss; `cut` and `mend` stand for the network's moods."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._opened: dict[str, bool] = {}  # user id: whether its connection is up
        self._unplugged: set[str] = set()
        self._arrivals: list[Arrival] = []
        self._unsent: dict[str, list[tuple[str, bytes]]] = defaultdict(list)
        broker.attach(self)
        for topic, kind in SHARED.items():
            if topic in broker.retained:
                self._arrivals.append(Arrival(kind, payload=broker.retained[topic]))

    def open(self, user_id: str) -> None:
        """Connect this device, also one that is unplugged."""
        if user_id not in self._opened or user_id in self._unplugged:
            self._unplugged.discard(user_id)
            self.mend(user_id)

    def unplug(self, user_id: str) -> None:
        """Cut this device off until it is opened again."""
        if user_id not in self._unplugged:
            self._unplugged.add(user_id)
            self.cut(user_id)

    def leave(self, user_id: str) -> None:
        """Connect this device no more."""
        self._unsent.pop(user_id, None)
        if self._opened.pop(user_id, False):
            self._say(user_id, online=False)

    def publish(self, user_id: str, leaf: str, payload: bytes) -> None:
        """Send up, or keep until the connection is mended."""
        if self._opened.get(user_id):
            self._broker.publish(UPWARD[leaf](user_id), payload)
        else:
            self._unsent[user_id].append((leaf, payload))

    def cut(self, user_id: str) -> None:
        """The device's connection breaks; its last will is published."""
        self._opened[user_id] = False
        self._arrivals.append(Arrival("down", user_id))
        self._say(user_id, online=False)

    def mend(self, user_id: str) -> None:
        """The device's connection is (back) up; what is retained for it arrives."""
        self._opened[user_id] = True
        self._say(user_id, online=True)
        self._arrivals.append(Arrival("up", user_id))
        for kind, topic in LEAVES.items():
            if topic(user_id) in self._broker.retained:
                self._arrivals.append(Arrival(kind, user_id, self._broker.retained[topic(user_id)]))
        for leaf, payload in self._unsent.pop(user_id, []):
            self.publish(user_id, leaf, payload)

    def deliver(self, topic: str, payload: bytes) -> None:
        """A message of the broker, for us or not."""
        if topic in SHARED:
            self._arrivals.append(Arrival(SHARED[topic], payload=payload))
            return
        user_id, leaf = topics.device_of(topic)
        if leaf in LEAVES and self._opened.get(user_id):
            self._arrivals.append(Arrival(leaf, user_id, payload))

    def take(self) -> list[Arrival]:
        """What came since the last call."""
        taken, self._arrivals = self._arrivals, []
        return taken

    async def wait(self, timeout_s: float) -> None:
        """Nothing is ever on its way."""

    async def close(self) -> None:
        """Say goodbye for every device that is up."""
        for user_id in [u for u, up in self._opened.items() if up]:
            self._opened[user_id] = False
            self._say(user_id, online=False)

    def _say(self, user_id: str, *, online: bool) -> None:
        self._broker.publish(topics.presence(user_id), encode_report(Presence(user_id, online)), retain=True)
