"""What a broker says of an event that it takes while no tunnel listens, and what a device does then."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from device_sim.link import Arrival
from device_sim.mqtt_link import MqttLink
from monitor.metrics import Metrics
from streams.mqtt.connection import MqttSettings
from tests.streams.mqtt.brokers import MISSING, Mosquitto
from wire.claim import Claim

pytestmark = [pytest.mark.servers, MISSING]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MqttSettings]:
    with Mosquitto(tmp_path) as mosquitto:
        yield mosquitto.settings


async def test_mosquitto_says_that_nobody_listens_to_an_event(broker: MqttSettings) -> None:
    link = MqttLink(broker.host, broker.port, 1, Claim("fleet", "b", 1), metrics=Metrics())
    link.open("ann")
    came: list[Arrival] = []
    while Arrival("up", "ann") not in came:
        await link.wait(10)
        came += link.take()
    link.publish("ann", "telemetry", b"nobody minds")
    link.publish("ann", "events", b"lost")
    await link.wait(10)
    assert link.take() == [Arrival("unheard", "ann")]
    await link.close()
