"""A tunnel that is restarted: devices are the broker's clients, not its own, and none of them notices."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from device_sim.mqtt_link import MqttLink
from monitor.metrics import Metrics
from streams.kafka.topics import CANDIDATES
from tests.streams.mqtt.brokers import KINDS
from tests.streams.tunnel.world import World, batch
from wire.batch import decode_batch
from wire.claim import Claim

DEVICES = 50


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(stack, stack.enter_context(request.param(tmp_path)))


class Heard:
    """What came over a link."""

    def __init__(self, link: MqttLink) -> None:
        self._link = link
        self.kinds: list[str] = []
        self.newest: dict[str, int] = {}

    async def until_all_have(self, seq: int) -> None:
        end_s = time.monotonic() + 60
        while len(self.newest) < DEVICES or min(self.newest.values()) < seq:
            assert time.monotonic() < end_s, f"batch {seq} never came to all"
            await self._link.wait(0.1)
            for arrival in self._link.take():
                self.kinds.append(arrival.kind)
                if arrival.kind == "candidates":
                    self.newest[arrival.user_id] = decode_batch(arrival.payload).batch_seq


def send(world: World, seq: int) -> None:
    for number in range(DEVICES):
        world.send(CANDIDATES, f"u{number}", batch(f"u{number}", seq))


async def test_a_restart_of_the_tunnel_drops_no_device(world: World) -> None:
    settings = world.broker.settings
    link = MqttLink(settings.host, settings.port, 1, Claim("fleet", "b", 1), metrics=Metrics())
    heard = Heard(link)
    for number in range(DEVICES):
        link.open(f"u{number}")
    for seq in (1, 2):
        tunnel = await asyncio.to_thread(world.tunnel(drain_s=0.1).__enter__)
        await asyncio.to_thread(send, world, seq)
        await heard.until_all_have(seq)
        await asyncio.to_thread(tunnel.__exit__, None, None, None)
    assert heard.kinds.count("down") == 0 and heard.kinds.count("up") == DEVICES
    await link.close()
