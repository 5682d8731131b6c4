"""The link over MQTT 5: one real connection per device, all on one asyncio loop.

The cloud model and the task are the same for everyone and large, so one more connection, the fleet's own,
receives them once for all devices; everything else goes over each device's own connection, with its own last
will. On the fleet's own connection it also hears whether another fleet uses its name (`device_sim.name`).
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import structlog
from paho.mqtt.client import Client

from device_sim import topics
from device_sim.backoff import Backoff
from device_sim.comeback import Comeback
from device_sim.connect_rate import ConnectRate
from device_sim.failures import Failures
from device_sim.link import LEAVES, SHARED, UPWARD, Arrival
from device_sim.mqtt_connection import Connection, Identity
from device_sim.mqtt_credentials import FLEET, OPEN, Keyring, device
from device_sim.mqtt_failure import QUARREL, QUICK, TAKEN_OVER, Failure
from device_sim.name import HEARD_S, Name
from device_sim.one_of import ALONE, OneOf
from device_sim.quarrel import Quarrel
from monitor.metrics import Metrics
from wire.claim import Claim
from wire.errors import ConnectionFailed
from wire.ids import topic_part
from wire.telemetry import Presence, encode_report

log = structlog.get_logger(__name__)

CONNECTING = 32  # that are not answered yet: what a slow broker answers at once makes no peak of half as many again
CONNECTS_PER_S, BURST = 200.0, 10  # that all devices begin together: 2,000 that are cut are back within 10 s
GOODBYE_S = 5.0  # how long a close waits for confirmations
_MISC_EVERY_S = 1.0  # paho's housekeeping (pings), and ours


class MqttLink:
    """Devices on the broker at `host:port`; `seed` fixes the jitter of reconnects. Lives on the running loop.

    `claim` names this run: client ids begin with its name, and of two runs of one name the later one ends. Each device
    proves who it is with its own credentials in `keyring`. Processes of a fleet have one claim, and connect together
    no faster than one would.
    """

    def __init__(
        self,
        host: str,
        port: int,
        seed: int,
        claim: Claim,
        *,
        metrics: Metrics,
        keyring: Keyring = OPEN,
        one_of: OneOf = ALONE,
    ) -> None:
        self._address, self._keyring, self._metrics = (host, port), keyring, metrics
        self._name = Name("fleet", claim)
        jitter = seed + one_of.process
        self._comeback = Comeback(random.Random(jitter))
        self._backoff = Backoff(random.Random(jitter))  # of the fleet's own connection, which hears the cloud's pace
        places, burst = (max(1, one_of.part(all_of_them)) for all_of_them in (CONNECTING, BURST))
        self._rate = ConnectRate(CONNECTS_PER_S / one_of.processes, burst)
        self._places = asyncio.Semaphore(places)
        self._threads = ThreadPoolExecutor(places + 1, "mqtt-connect")
        self._loop = asyncio.get_running_loop()
        self._arrivals: list[Arrival] = []
        self._came = asyncio.Event()
        self._unchallenged = asyncio.Event()
        self._let_in = False  # the fleet's own connection stood once
        self._failure: ConnectionFailed | None = None
        self._failures, self._refusals = Failures(), Failures()
        self._quarrel = Quarrel(self._loop.time())
        own = Identity(
            "",
            one_of.name(self._name.unique),
            (*SHARED, topics.PACE, self._name.topic),
            self._name.topic,
            self._name.said,
        )
        self._shared = Connection(self._address, own, self)
        self._devices: dict[str, Connection] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._housekeeping = self._loop.create_task(self._keep_house())

    def open(self, user_id: str) -> None:
        """Connect this device, now and whenever its connection is lost; also one that is unplugged."""
        if user_id in self._devices:
            self._devices[user_id].plug_in()
            return
        who = Identity(
            user_id,
            f"{self._name.claim.name}-{topic_part(user_id)}",
            tuple(topic(user_id) for topic in LEAVES.values()),
            topics.presence(user_id),
            hello=encode_report(Presence(user_id, online=True)),
            goodbye=encode_report(Presence(user_id, online=False)),
        )
        self._devices[user_id] = Connection(self._address, who, self)

    def unplug(self, user_id: str) -> None:
        """Cut this device off until `open`; the device must have been opened."""
        self._devices[user_id].unplug()

    def leave(self, user_id: str) -> None:
        """Disconnect this device for good, once what it published is confirmed or `GOODBYE_S` passed."""
        parting = self._loop.create_task(self._part([self._devices.pop(user_id)]))
        self._leaving.add(parting)
        parting.add_done_callback(self._leaving.discard)

    def publish(self, user_id: str, leaf: str, payload: bytes) -> None:
        """Send up at QoS 1 on the device's topic `leaf`; the device must have been opened."""
        self._devices[user_id].publish(UPWARD[leaf](user_id), payload)

    def take(self) -> list[Arrival]:
        """What came since the last call; raises `ConnectionFailed` when the broker will never have us as things are.

        Or when another fleet of our name was there first.
        """
        if self._failure is not None:
            raise self._failure
        if self._housekeeping.done():
            self._housekeeping.result()
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
        await asyncio.gather(self._part([*self._devices.values(), self._shared]), *self._leaving)
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._metrics.devices_connected.set(0)

    def equip(self, who: Identity, client: Client) -> None:
        """Give a client what proves that it is this device, or the fleet; raises `InputError`."""
        self._keyring.equip(client, device(who.user_id) if who.user_id else FLEET, self._address[0])

    @asynccontextmanager
    async def turn(self, who: Identity) -> AsyncIterator[ThreadPoolExecutor]:
        """An attempt to connect, from its beginning to its answer, and threads to block in.

        Devices have theirs at the rate that all share, and not before nobody contests our name. Who has a turn has a
        place: where attempts hang, or a busy loop is late for turns, those that pile up to be taken at once are few.
        """
        if not who.user_id:
            yield self._threads
            return
        await self._unchallenged.wait()
        async with self._places:
            await asyncio.sleep(self._rate.wait_s(self._loop.time()))
            yield self._threads

    def pause_s(self, who: Identity, failures: int) -> float:
        """How long this one waits after so many failed attempts in a row."""
        if not who.user_id:
            return self._backoff.pause_s(failures)
        return self._comeback.pause_s(failures, self._loop.time())

    def came_up(self, who: Identity) -> None:
        """A connection stands."""
        if who.user_id:
            self._metrics.devices_connected.inc()
            self._arrived(Arrival("up", who.user_id))
        else:
            self._let_in = True
            self._loop.call_later(HEARD_S, self._unchallenged.set)

    def went_down(self, who: Identity) -> None:
        """A connection that stood does so no more."""
        if who.user_id:
            self._metrics.devices_connected.dec()
            self._arrived(Arrival("down", who.user_id))
        else:
            self._quarrel.over()

    def failed(self, who: Identity, failure: Failure) -> None:
        """An attempt or a connection ended: counted, and said soon; what can't pass for the fleet itself ends it."""
        self._metrics.mqtt_failures.labels(_client(who), failure.reason).inc()
        self._failures.add(failure)
        if failure.ends(let_in=bool(who.user_id) or self._let_in):
            self._give_up(failure)
        taken = who.user_id and self._shared.up and failure in {TAKEN_OVER, QUICK}
        if taken and self._quarrel.lost(who.user_id, self._loop.time(), len(self._devices)):
            self._give_up(QUARREL)

    def refused(self, who: Identity, topic: str, failure: Failure) -> None:
        """The broker did not take a message or a subscription; without model and task there is nothing to do."""
        self._metrics.mqtt_refused.labels(_client(who), failure.reason).inc()
        self._refusals.add(failure)
        if topic in SHARED:
            self._give_up(failure)

    def unheard(self, who: Identity, topic: str) -> None:
        """The broker took a message for which nobody listens: of events, a device keeps them and tries again."""
        if who.user_id and topic == topics.events(who.user_id):
            self._arrived(Arrival("unheard", who.user_id))

    def came(self, who: Identity, topic: str, payload: bytes) -> None:
        """A message arrived."""
        if topic == self._name.topic:
            self._heard(payload)
        elif topic == topics.PACE:
            self._paced(payload)
        elif who.user_id and who.user_id not in self._devices:
            return  # it leaves, and hears no more
        elif payload:  # an empty retained message only forgets the one before
            self._arrived(Arrival(SHARED.get(topic) or topic.rpartition("/")[2], who.user_id, payload))

    def _arrived(self, arrival: Arrival) -> None:
        self._arrivals.append(arrival)
        self._came.set()

    def _heard(self, claim: bytes) -> None:
        try:
            if self._name.hear(claim):
                log.warning("another fleet of our name came; it should end", name=self._name.claim.name)
                self._shared.publish(self._name.topic, self._name.said)
        except ConnectionFailed as error:
            self._failure = error
            self._came.set()

    def _paced(self, pace: bytes) -> None:
        outcome = self._comeback.hear(pace, self._loop.time())
        self._metrics.device_outcomes.labels(outcome.what, outcome).inc()
        log.info(f"the cloud says when to come back: {outcome}", pace=pace[:200].decode(errors="replace"))

    def _give_up(self, failure: Failure) -> None:
        host, port = self._address
        self._failure = self._failure or ConnectionFailed(f"the MQTT broker at {host}:{port}: {failure.text}")
        self._came.set()

    async def _part(self, connections: Sequence[Connection]) -> None:
        for connection in connections:
            connection.say_goodbye()
        end = self._loop.time() + GOODBYE_S
        while any(c.up and c.unconfirmed for c in connections) and self._loop.time() < end:
            await asyncio.sleep(0.01)
        if left := sum(c.unconfirmed for c in connections):
            log.warning("messages that the MQTT broker has not confirmed are left behind", messages=left)
        await asyncio.gather(*(connection.close() for connection in connections))

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(_MISC_EVERY_S)
            for connection in [self._shared, *self._devices.values()]:
                connection.keep_house()
            self._say()

    def _say(self) -> None:
        now_s = self._loop.time()
        if line := self._failures.line(now_s):
            up = sum(connection.up for connection in self._devices.values())
            there = f"{up} of {len(self._devices)} devices are connected"
            log.warning(f"connections to the MQTT broker failed, trying again; {there}: {line}")
        if line := self._refusals.line(now_s):
            log.warning(f"the MQTT broker refused messages of devices: {line}")


def _client(who: Identity) -> str:
    return "device" if who.user_id else "fleet"
