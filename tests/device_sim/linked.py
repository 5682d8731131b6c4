"""A link to a broker or to what is none, and waiting for what it says."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from device_sim.mqtt_link import MqttLink
from monitor.metrics import Metrics
from streams.mqtt.embedded import EmbeddedMqtt
from wire.claim import Claim
from wire.errors import ConnectionFailed

LIMIT_S = 20.0


def a_link(host: str, port: int, boot: str = "b1", started_ms: int = 1, *, metrics: Metrics | None = None) -> MqttLink:
    return MqttLink(host, port, 1, Claim("coda-fleet", boot, started_ms), metrics=metrics or Metrics())


async def said(link: MqttLink, logs: Sequence[Mapping[str, Any]], text: str) -> str:
    """Wait for a line with `text`; whatever happens, it comes."""
    end = asyncio.get_running_loop().time() + LIMIT_S
    while True:
        for line in logs:
            if text in line["event"]:
                return str(line["event"])
        assert asyncio.get_running_loop().time() < end, f"never said {text!r}, only {logs}"
        await link.wait(0.05)
        link.take()


async def given_up(link: MqttLink) -> str:
    """Wait for what ends the link."""
    end = asyncio.get_running_loop().time() + LIMIT_S
    while asyncio.get_running_loop().time() < end:
        try:
            link.take()
        except ConnectionFailed as error:
            return str(error)
        await link.wait(0.05)
    raise AssertionError("it never gave up")


async def up(link: MqttLink, devices: int) -> None:
    """Wait until so many devices came up."""
    while devices > 0:
        await link.wait(0.05)
        devices -= sum(arrival.kind == "up" for arrival in link.take())


def publish(broker: EmbeddedMqtt, topic: str, payload: bytes, *, retain: bool = False) -> None:
    """Say something as the cloud would."""
    cloud = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    cloud.connect(broker.settings.host, broker.settings.port)
    cloud.loop_start()
    cloud.publish(topic, payload, 1, retain).wait_for_publish(5)
    cloud.disconnect()
    cloud.loop_stop()
