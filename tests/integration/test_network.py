"""Devices in a network namespace of their own: their network vanishes without a word and comes back."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from device_sim import topics
from monitor.metrics import Metrics
from streams.mqtt.client import MqttClient
from streams.mqtt.connection import MqttSettings
from tests.integration.devices import KEEPALIVE_S
from tests.integration.namespace import Namespace
from tests.integration.stack import free_port, wait_until
from wire.telemetry import Presence, decode_report

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
USERS = [f"u{number}" for number in range(20)]

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (apt-get install mosquitto)"),
]


def accepts(settings: MqttSettings) -> bool:
    with suppress(OSError), socket.create_connection((settings.host, settings.port), timeout=1):
        return True
    return False


@contextmanager
def mosquitto(host: str, folder: Path) -> Iterator[MqttSettings]:
    settings = MqttSettings(host, free_port())
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {settings.port} {host}\nallow_anonymous true\nmax_queued_messages 100000\n")
    with subprocess.Popen([str(MOSQUITTO), "-c", str(config)]) as process:
        try:
            wait_until(lambda: accepts(settings), "mosquitto", 10)
            yield settings
        finally:
            process.terminate()


class Cloud:
    """What devices said, as another client of the broker hears it."""

    def __init__(self, settings: MqttSettings) -> None:
        self.client = MqttClient(settings, Metrics(), "cloud", topics.UP)
        self.client.open()
        wait_until(lambda: self.client.connected, "the cloud's connection", 10)
        self.heard: dict[str, set[int]] = {user_id: set() for user_id in USERS}
        self.online: set[str] = set()

    def listen(self) -> None:
        messages = self.client.received(10_000, timeout_s=0.05)
        self.client.acknowledge(messages)
        self.client.taken()
        for message in messages:
            user_id, leaf = topics.device_of(message.topic)
            if leaf == "events":
                self.heard[user_id].add(int(message.payload))
            elif isinstance(report := decode_report(message.payload), Presence):
                (self.online.add if report.online else self.online.discard)(user_id)

    def until(self, holds: Callable[[], bool], what: str, limit_s: float) -> float:
        """Listen until something holds; how many seconds that took."""
        began_s = time.monotonic()
        while not holds():
            assert time.monotonic() < began_s + limit_s, f"never came: {what}"
            self.listen()
        return time.monotonic() - began_s


def test_devices_whose_network_vanishes_notice_come_back_and_lose_nothing(tmp_path: Path) -> None:
    said = tmp_path / "said"
    with Namespace(os.getpid()) as space, mosquitto(space.outside, tmp_path) as broker, said.open("w") as out:
        cloud = Cloud(broker)
        command = [sys.executable, "-m", "tests.integration.devices", broker.host, str(broker.port), *USERS]
        with space.start(command, stdin=subprocess.PIPE, stdout=out) as devices:

            def says(figures: dict[str, int]) -> bool:
                whole, _, _ = said.read_text().rpartition("\n")  # the last line may be half written
                return bool(whole) and json.loads(whole.splitlines()[-1]) == figures

            cloud.until(partial(says, {"connected": len(USERS), "newest": 0}), "connections", 30)
            for outage in (1, 2):
                space.pull()
                cloud.until(
                    partial(says, {"connected": 0, "newest": outage - 1}), "devices that notice", 4 * KEEPALIVE_S
                )
                cloud.until(lambda: not cloud.online, "last wills", 4 * KEEPALIVE_S)
                for user_id in USERS:  # which nobody is there to take
                    cloud.client.publish(topics.candidates(user_id), str(outage).encode(), retain=True)
                space.plug()
                everybody = {"connected": len(USERS), "newest": outage}
                cloud.until(partial(says, everybody), "devices that come back with what was published", 30)
                cloud.until(lambda: len(cloud.online) == len(USERS), "devices that are online", 30)
            assert devices.stdin is not None
            devices.stdin.close()
            devices.wait(30)
            published = json.loads(said.read_text().splitlines()[-1])["published"]
            everything = set(range(published))
            cloud.until(lambda: all(heard == everything for heard in cloud.heard.values()), "all messages", 30)
            cloud.client.close()
