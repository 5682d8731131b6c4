"""The link over MQTT 5: one real connection per device, all on one asyncio loop.

The cloud model and the task are the same for everyone and large, so one more connection, the fleet's own,
receives them once for all devices; everything else goes over each device's own connection, with its own last
will. paho speaks the protocol; the loop watches its sockets, so that 2,000 devices need no thread of their own.
"""

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from device_sim import topics
from device_sim.link import LEAVES, SHARED, UPWARD, Arrival
from monitor import metrics
from wire.errors import ConnectionFailed
from wire.ids import topic_part
from wire.telemetry import Presence, encode_report

log = structlog.get_logger(__name__)

KEEPALIVE_S = 30  # a half-open connection is noticed within 1.5 times this; ours
CONNECTING = 16  # connections being made at once: a broker that comes back is not trampled; ours
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0  # between attempts, doubling, each times 0.5 to 1.5; ours
GOODBYE_S = 5.0  # how long a close waits for confirmations; ours
_MISC_EVERY_S = 1.0  # paho's housekeeping (pings)
_SESSION_TAKEN_OVER = 142  # MQTT 5, 4.13


@dataclass(frozen=True, slots=True)
class _Identity:
    """Who connects: user id (empty for the fleet itself), client id, what it subscribes, where it says it is there."""

    user_id: str
    name: str
    subscriptions: tuple[str, ...]
    presence: str = ""

    def saying(self, *, online: bool) -> bytes:
        """What `presence` says."""
        return encode_report(Presence(self.user_id, online))


class MqttLink:
    """Devices on the broker at `host:port`; `seed` fixes the jitter of reconnects. Lives on the running loop."""

    def __init__(self, host: str, port: int, seed: int, *, name: str = "coda-fleet") -> None:
        self._address = (host, port)
        self._name = name
        self._random = random.Random(seed)
        self._threads = ThreadPoolExecutor(CONNECTING, "mqtt-connect")
        self._loop = asyncio.get_running_loop()
        self._arrivals: list[Arrival] = []
        self._came = asyncio.Event()
        self._failure: ConnectionFailed | None = None
        self._shared = _Connection(self._address, _Identity("", name, tuple(SHARED)), self)
        self._devices: dict[str, _Connection] = {}
        self._housekeeping = self._loop.create_task(self._keep_house())

    def open(self, user_id: str) -> None:
        """Connect this device, now and whenever its connection is lost."""
        if user_id in self._devices:
            return
        subscriptions = tuple(topic(user_id) for topic in LEAVES.values())
        who = _Identity(user_id, f"{self._name}-{topic_part(user_id)}", subscriptions, topics.presence(user_id))
        self._devices[user_id] = _Connection(self._address, who, self)

    def publish(self, user_id: str, leaf: str, payload: bytes) -> None:
        """Send up at QoS 1 on the device's topic `leaf`; the device must have been opened."""
        self._devices[user_id].publish(UPWARD[leaf](user_id), payload)

    def take(self) -> list[Arrival]:
        """What came since the last call; raises `ConnectionFailed` when another fleet has taken our name."""
        if self._failure is not None:
            raise self._failure
        self._came.clear()
        taken, self._arrivals = self._arrivals, []
        return taken

    async def wait(self, timeout_s: float) -> None:
        """Return when something came, or after `timeout_s`."""
        try:
            await asyncio.wait_for(self._came.wait(), timeout_s)
        except TimeoutError:
            return

    async def close(self) -> None:
        """Say goodbye for every device, once what was published is confirmed or `GOODBYE_S` passed."""
        self._housekeeping.cancel()
        everyone = [*self._devices.values(), self._shared]
        for connection in everyone:
            connection.say_goodbye()
        end = self._loop.time() + GOODBYE_S
        while any(c.unconfirmed for c in everyone) and self._loop.time() < end:
            await asyncio.sleep(0.01)
        await asyncio.gather(*(connection.close() for connection in everyone))
        self._threads.shutdown()
        metrics.devices_connected.set(0)

    async def connect(self, attempt: Callable[[], bool]) -> bool:
        """Run a blocking connection attempt in one of our threads."""
        return await self._loop.run_in_executor(self._threads, attempt)

    def pause_s(self, failures: int) -> float:
        """How long to wait after so many failed attempts in a row."""
        return min(FIRST_PAUSE_S * 2.0**failures, LONGEST_PAUSE_S) * self._random.uniform(0.5, 1.5)

    def arrived(self, arrival: Arrival) -> None:
        """Something came over one of the connections."""
        if arrival.kind in {"up", "down"}:
            metrics.devices_connected.inc(1 if arrival.kind == "up" else -1)
        self._arrivals.append(arrival)
        self._came.set()

    def name_taken(self, name: str) -> None:
        """Someone else connected under the name of one of ours: both going on would mean an endless quarrel."""
        self._failure = ConnectionFailed(
            f"another fleet connected to {self._address[0]}:{self._address[1]} as {name}: stop it, "
            "or let one of them have other devices"
        )
        self._came.set()

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(_MISC_EVERY_S)
            for connection in [self._shared, *self._devices.values()]:
                connection.keep_house()


class _Connection:
    """One connection that comes back by itself; every method but the connection attempt runs on the loop."""

    def __init__(self, address: tuple[str, int], who: _Identity, link: MqttLink) -> None:
        self._address, self._who, self._link = address, who, link
        self._loop = asyncio.get_running_loop()
        self._lost = asyncio.Event()
        self._up = self._closing = False
        self._watched = -1  # the socket that the loop watches for us
        self._failures = 0
        self._pending = 0
        self._client = self._make_client()
        self._task = self._loop.create_task(self._stay_connected())

    @property
    def unconfirmed(self) -> bool:
        """Whether the broker is there and has yet to confirm something."""
        return self._up and self._pending > 0

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send at QoS 1; paho sends what is unconfirmed again after a reconnect."""
        self._pending += 1
        self._client.publish(topic, payload, 1, retain)

    def keep_house(self) -> None:
        """Pings, and noticing that they are not answered."""
        if self._up:
            self._client.loop_misc()

    def say_goodbye(self) -> None:
        """Announce that we leave; no reconnecting from now on."""
        self._closing = True
        if self._up and self._who.presence:
            self.publish(self._who.presence, self._who.saying(online=False), retain=True)

    async def close(self) -> None:
        """Disconnect in order, or stop trying to connect."""
        self._closing = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self._up:
            self._client.disconnect()
            self._client.loop_write()
        self._unwatch()
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _make_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=self._who.name, protocol=MQTTv5, reconnect_on_failure=False
        )
        if self._who.presence:
            client.will_set(self._who.presence, self._who.saying(online=False), 1, True)
        client.on_connect, client.on_subscribe = self._on_connect, self._on_subscribe
        client.on_disconnect, client.on_message = self._on_disconnect, self._on_message
        client.on_publish = self._on_publish
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write
        return client

    async def _stay_connected(self) -> None:
        while not self._closing:
            self._lost.clear()
            if await self._link.connect(self._attempt):
                self._watch()
                await self._lost.wait()
            if not self._closing:
                await asyncio.sleep(self._link.pause_s(self._failures))
                self._failures += 1

    def _attempt(self) -> bool:
        """Connect, blocking, in a thread: nobody else touches the client meanwhile; False when nobody listens."""
        try:
            return self._client.connect(*self._address, KEEPALIVE_S, clean_start=True) == MQTTErrorCode.MQTT_ERR_SUCCESS
        except OSError:
            return False

    def _watch(self) -> None:
        sock = self._client.socket()
        if sock is None:
            self._lost.set()
            return
        self._watched = sock.fileno()
        self._loop.add_reader(self._watched, self._client.loop_read)
        if self._client.want_write():
            self._loop.add_writer(self._watched, self._client.loop_write)

    def _unwatch(self) -> None:
        if self._watched >= 0:
            self._loop.remove_reader(self._watched)
            self._loop.remove_writer(self._watched)
        self._watched = -1

    def _on_connect(self, client: Client, _: Any, __: ConnectFlags, reason: ReasonCode, ___: Properties | None) -> None:
        if reason.is_failure:
            log.warning("the MQTT broker refuses us, trying again", client=self._who.name, reason=str(reason))
            self._lost.set()
            return
        client.subscribe([(topic, 1) for topic in self._who.subscriptions])
        if self._who.presence:
            self.publish(self._who.presence, self._who.saying(online=True), retain=True)

    def _on_subscribe(self, _: Client, __: Any, ___: int, ____: list[ReasonCode], _____: Properties | None) -> None:
        self._up, self._failures = True, 0
        if self._who.user_id:
            self._link.arrived(Arrival("up", self._who.user_id))

    def _on_disconnect(
        self, _: Client, __: Any, ___: DisconnectFlags, reason: ReasonCode, ____: Properties | None
    ) -> None:
        if self._up and self._who.user_id:
            self._link.arrived(Arrival("down", self._who.user_id))
        self._up = False
        if reason.value == _SESSION_TAKEN_OVER:
            self._link.name_taken(self._who.name)
        self._lost.set()

    def _on_publish(self, _: Client, __: Any, ___: int, ____: ReasonCode, _____: Properties | None) -> None:
        self._pending -= 1

    def _on_message(self, _: Client, __: Any, message: MQTTMessage) -> None:
        kind = SHARED.get(message.topic) or message.topic.rsplit("/", 1)[1]
        if message.payload:  # an empty retained message only forgets the one before
            self._link.arrived(Arrival(kind, self._who.user_id, bytes(message.payload)))

    # These may come from the connecting thread too, but only before the loop watches the socket.

    def _on_socket_close(self, _: Client, __: Any, ___: Any) -> None:
        self._unwatch()

    def _on_register_write(self, _: Client, __: Any, ___: Any) -> None:
        if self._watched >= 0:
            self._loop.add_writer(self._watched, self._client.loop_write)

    def _on_unregister_write(self, _: Client, __: Any, ___: Any) -> None:
        if self._watched >= 0:
            self._loop.remove_writer(self._watched)
