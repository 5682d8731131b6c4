"""What every link promises, checked on each of them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from device_sim import topics
from device_sim.link import Arrival, Link
from device_sim.mqtt_link import MqttLink
from monitor.metrics import Metrics
from streams.mqtt.embedded import EmbeddedMqtt
from tests.device_sim.memory_link import MemoryBroker, MemoryLink
from wire.claim import Claim
from wire.telemetry import Presence, decode_report

LIMIT_S = 30.0
CLAIM = Claim("coda-fleet", "boot", 1)


class World:
    """A link under test, and what is on the other side of it."""

    link: Link

    def push(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        raise NotImplementedError

    def upward(self) -> list[tuple[str, bytes]]:
        raise NotImplementedError

    def break_all(self) -> None:
        raise NotImplementedError

    def heal(self) -> None:
        raise NotImplementedError

    async def arrivals(self, enough: Callable[[list[Arrival]], bool]) -> list[Arrival]:
        seen: list[Arrival] = []
        end = asyncio.get_running_loop().time() + LIMIT_S
        while not enough(seen):
            assert asyncio.get_running_loop().time() < end, f"never came, only {seen}"
            await self.link.wait(0.05)
            seen += self.link.take()
        return seen

    async def until(self, holds: Callable[[], bool]) -> None:
        end = asyncio.get_running_loop().time() + LIMIT_S
        while not holds():
            assert asyncio.get_running_loop().time() < end, f"never held; upward: {self.upward()}"
            await asyncio.sleep(0.02)

    def online(self, user_id: str) -> bool | None:
        said = [decode_report(raw) for topic, raw in self.upward() if topic == topics.presence(user_id)]
        assert all(isinstance(report, Presence) for report in said)
        return said[-1].online if said and isinstance(said[-1], Presence) else None


class MemoryWorld(World):
    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.memory = MemoryLink(self.broker)
        self.link = self.memory

    def push(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self.broker.publish(topic, payload, retain=retain)

    def upward(self) -> list[tuple[str, bytes]]:
        return [(t, p) for t, p in self.broker.published if t.rsplit("/", 1)[1] not in ("candidates", "current")]

    def break_all(self) -> None:
        self.memory.cut("ann")

    def heal(self) -> None:
        self.memory.mend("ann")


class MqttWorld(World):
    def __init__(self, broker: EmbeddedMqtt) -> None:
        self.broker = broker
        self.link = MqttLink(broker.settings.host, broker.settings.port, 1, CLAIM, metrics=Metrics())
        self._upward: list[tuple[str, bytes]] = []
        self._connect()

    def push(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._cloud.publish(topic, payload, 1, retain).wait_for_publish(LIMIT_S)

    def upward(self) -> list[tuple[str, bytes]]:
        return list(self._upward)

    def break_all(self) -> None:
        self.broker.kill()

    def heal(self) -> None:
        self._cloud.loop_stop()
        self.broker.start()
        self._connect()

    def _connect(self) -> None:
        self._cloud = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        subscribed = threading.Event()
        self._cloud.on_message = lambda _c, _u, m: self._upward.append((m.topic, bytes(m.payload)))
        self._cloud.on_subscribe = lambda *_: subscribed.set()
        self._cloud.connect(self.broker.settings.host, self.broker.settings.port)
        self._cloud.subscribe([(topic, 1) for topic in topics.UP])
        self._cloud.loop_start()
        assert subscribed.wait(LIMIT_S)

    def close(self) -> None:
        self._cloud.disconnect()
        self._cloud.loop_stop()


@pytest.fixture
def broker() -> Iterator[EmbeddedMqtt]:
    with EmbeddedMqtt() as embedded:
        yield embedded


@pytest.fixture(params=["memory", "mqtt"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        world: Any = MemoryWorld()
        yield world
        await world.link.close()
        return
    world = MqttWorld(request.getfixturevalue("broker"))
    yield world
    await world.link.close()
    world.close()


def kinds(arrivals: list[Arrival]) -> list[str]:
    return [arrival.kind for arrival in arrivals]


async def test_an_opened_device_comes_up_and_says_so(world: World) -> None:
    world.link.open("ann")
    assert Arrival("up", "ann") in await world.arrivals(lambda seen: "up" in kinds(seen))
    await world.until(lambda: world.online("ann") is True)


async def test_each_device_gets_its_own_topics(world: World) -> None:
    for user_id in ("ann", "b/o+b"):
        world.link.open(user_id)
    await world.arrivals(lambda seen: kinds(seen).count("up") == 2)
    world.push(topics.candidates("ann"), b"for ann", retain=True)
    world.push(topics.receipts("b/o+b"), b"for bob")
    seen = await world.arrivals(lambda seen: len(seen) == 2)
    assert set(seen) == {Arrival("candidates", "ann", b"for ann"), Arrival("receipts", "b/o+b", b"for bob")}


async def test_model_and_task_come_once_for_all(world: World) -> None:
    for user_id in ("ann", "bob"):
        world.link.open(user_id)
    await world.arrivals(lambda seen: kinds(seen).count("up") == 2)
    world.push(topics.MODEL, b"model", retain=True)
    world.push(topics.TASK, b"task", retain=True)
    seen = await world.arrivals(lambda seen: len(seen) == 2)
    assert set(seen) == {Arrival("model", payload=b"model"), Arrival("task", payload=b"task")}


async def test_a_late_device_gets_the_retained_batch(world: World) -> None:
    world.push(topics.candidates("ann"), b"old", retain=True)
    world.push(topics.candidates("ann"), b"new", retain=True)
    world.link.open("ann")
    seen = await world.arrivals(lambda seen: "candidates" in kinds(seen) and "up" in kinds(seen))
    assert Arrival("candidates", "ann", b"new") in seen
    assert Arrival("candidates", "ann", b"old") not in seen


async def test_what_is_published_arrives_in_order(world: World) -> None:
    world.link.open("ann")
    await world.arrivals(lambda seen: "up" in kinds(seen))
    for n in range(300):
        world.link.publish("ann", "events", b"%d" % n)
    topic = topics.events("ann")
    await world.until(lambda: sum(t == topic for t, _ in world.upward()) == 300)
    assert [p for t, p in world.upward() if t == topic] == [b"%d" % n for n in range(300)]


async def test_a_lost_device_comes_back_and_sends_what_it_could_not(world: World) -> None:
    world.link.open("ann")
    await world.arrivals(lambda seen: "up" in kinds(seen))
    world.break_all()
    await world.arrivals(lambda seen: "down" in kinds(seen))
    world.link.publish("ann", "events", b"written in the dark")
    world.heal()
    await world.arrivals(lambda seen: "up" in kinds(seen))
    await world.until(lambda: (topics.events("ann"), b"written in the dark") in world.upward())


async def test_an_unplugged_device_is_gone_until_it_is_opened_again(world: World) -> None:
    for user_id in ("ann", "bob"):
        world.link.open(user_id)
    await world.arrivals(lambda seen: kinds(seen).count("up") == 2)
    world.link.unplug("ann")
    world.link.unplug("ann")
    assert await world.arrivals(bool) == [Arrival("down", "ann")]
    await world.until(lambda: world.online("ann") is False)
    world.link.publish("ann", "events", b"written in the dark")
    world.push(topics.receipts("ann"), b"nobody hears it")
    world.push(topics.receipts("bob"), b"for bob")
    assert await world.arrivals(bool) == [Arrival("receipts", "bob", b"for bob")]
    world.link.open("ann")
    assert await world.arrivals(bool) == [Arrival("up", "ann")]
    await world.until(lambda: (topics.events("ann"), b"written in the dark") in world.upward())
    await world.until(lambda: world.online("ann") is True)


async def test_a_device_that_is_unplugged_at_once_never_connects(world: World) -> None:
    world.link.open("ann")
    world.link.unplug("ann")
    world.link.open("bob")
    await world.arrivals(lambda seen: Arrival("up", "bob") in seen)
    assert world.online("ann") is not True
    world.link.open("ann")
    await world.arrivals(lambda seen: Arrival("up", "ann") in seen)


async def test_closing_says_goodbye(world: World) -> None:
    world.link.open("ann")
    await world.arrivals(lambda seen: "up" in kinds(seen))
    world.link.publish("ann", "ack", b"last words")
    await world.link.close()
    await world.until(lambda: world.online("ann") is False)
    assert (topics.ack("ann"), b"last words") in world.upward()


async def test_a_device_that_leaves_says_goodbye_and_hears_no_more(world: World) -> None:
    for user_id in ("ann", "bob"):
        world.link.open(user_id)
    await world.arrivals(lambda seen: kinds(seen).count("up") == 2)
    world.link.publish("ann", "ack", b"last words")
    world.link.leave("ann")
    await world.until(lambda: world.online("ann") is False)
    assert (topics.ack("ann"), b"last words") in world.upward()
    world.push(topics.receipts("ann"), b"too late")
    world.push(topics.receipts("bob"), b"for bob")
    seen = await world.arrivals(lambda seen: any(arrival.user_id == "bob" for arrival in seen))
    assert "receipts" not in [arrival.kind for arrival in seen if arrival.user_id == "ann"]


async def test_a_device_that_vanishes_leaves_its_last_will(broker: EmbeddedMqtt) -> None:
    world = MqttWorld(broker)
    world.link.open("ann")
    await world.arrivals(lambda seen: "up" in kinds(seen))
    await world.until(lambda: world.online("ann") is True)
    assert isinstance(world.link, MqttLink)
    sock: Any = world.link._devices["ann"]._client.socket()
    sock.shutdown(2)
    await world.until(lambda: world.online("ann") is False)
    await world.link.close()
    world.close()
