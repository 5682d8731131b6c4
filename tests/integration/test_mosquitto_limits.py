"""mosquitto set up so that it does not let us work, or not all of us: one line names the limit."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from device_sim import topics
from device_sim.mqtt_link import MqttLink
from monitor.metrics import Metrics
from streams.kafka.admin import ensure_topics
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.producer import CheckedProducer
from streams.kafka.topics import CANDIDATES, TUNNEL_GROUP
from streams.mqtt.client import MqttClient
from streams.mqtt.connection import MqttSettings, probe
from tests.integration.stack import free_port, wait_until
from tests.streams.kafka.lag import lag
from tests.streams.tunnel.world import live_tunnel
from wire.claim import Claim
from wire.errors import CodaError, ConnectionFailed
from wire.push_headers import PushHeaders

_MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin")
pytestmark = [pytest.mark.servers, pytest.mark.skipif(_MOSQUITTO is None, reason="mosquitto is not installed")]


@contextmanager
def mosquitto(folder: Path, limit: str) -> Iterator[MqttSettings]:
    """A broker with this limit."""
    address, config = MqttSettings(port=free_port()), folder / "mosquitto.conf"
    listener = f"listener {address.port} 127.0.0.1\nallow_anonymous true"
    of_listener = limit.split(maxsplit=1)[0] in {"max_qos", "max_connections"}
    config.write_text(f"{listener}\n{limit}\n" if of_listener else f"{limit}\n{listener}\n")
    with subprocess.Popen([str(_MOSQUITTO), "-c", str(config)], stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _listens(address), "mosquitto", 10, 0.05)
            yield address
        finally:
            process.terminate()


def _listens(address: MqttSettings) -> bool:
    with socket.socket() as knock:
        return knock.connect_ex((address.host, address.port)) == 0


@pytest.mark.parametrize("limit", ["max_qos 0", "retain_available false"])
def test_what_it_never_allows_is_said_at_the_start(tmp_path: Path, limit: str) -> None:
    with (
        mosquitto(tmp_path, limit) as address,
        pytest.raises(ConnectionFailed, match=f"mosquitto: {limit.split(maxsplit=1)[0]}"),
    ):
        probe(address)


def test_a_message_that_is_too_large_for_an_unsaid_limit_ends_the_tunnels_client_with_it(tmp_path: Path) -> None:
    with mosquitto(tmp_path, "message_size_limit 2000") as address:
        client = MqttClient(address, Metrics(), "a")
        client.open()
        wait_until(lambda: client.connected, "the connection", 15, 0.01)
        try:
            with pytest.raises(CodaError, match="message_size_limit"):
                client.publish("coda/devices/ann/candidates", b"x" * 5000, retain=True)
                end = time.monotonic() + 20
                while time.monotonic() < end:
                    client.taken()
                    time.sleep(0.02)
        finally:
            client.close()


def test_a_batch_larger_than_the_broker_says_it_takes_is_passed_over_and_the_others_arrive(tmp_path: Path) -> None:
    with mosquitto(tmp_path, "max_packet_size 2000") as address, EmbeddedKafka() as kafka:
        settings = KafkaSettings(kafka.bootstrap)
        ensure_topics(settings)
        producer = CheckedProducer(settings)
        now_ms = time.time_ns() // 1_000_000
        for seq, (user, nbytes) in enumerate([("ann", 5000), ("bob", 100)], start=1):
            headers = PushHeaders(seq, now_ms, now_ms, lineage="", version=1, digest="").encode()
            producer.send(CANDIDATES, user, b"x" * nbytes, headers=headers)
        producer.flush(10)
        with live_tunnel(settings, address, drain_s=0.1) as tunnel, capture_logs() as logs:
            bob = MqttClient(address, Metrics(), "bob", [topics.candidates("bob")])
            bob.open()
            wait_until(lambda: bob.connected, "the connection", 15, 0.01)
            wait_until(lambda: bool(bob.received(10)), "the batch that fits", 60, 0.05)
            wait_until(
                lambda: sum(lag(kafka.bootstrap, TUNNEL_GROUP, CANDIDATES).values()) == 0, "the offsets", 60, 0.05
            )
            tunnel.wait(0.1)
            bob.close()
        assert any("at most 2000 bytes" in line["event"] for line in logs)


async def test_devices_beyond_max_connections_are_said_and_the_others_work(tmp_path: Path) -> None:
    with mosquitto(tmp_path, "max_connections 10") as address, capture_logs() as logs:
        link = MqttLink(address.host, address.port, 1, Claim("coda-fleet", "b", 1), metrics=Metrics())
        for number in range(30):
            link.open(f"u{number}")
        end = time.monotonic() + 15
        while not any("max_connections" in line["event"] for line in logs):
            assert time.monotonic() < end
            await asyncio.sleep(0.1)
        assert sum("failed" in line["event"] for line in logs) == 1
        await link.close()


async def test_a_report_that_is_too_large_ends_the_fleet_with_the_limit(tmp_path: Path) -> None:
    with mosquitto(tmp_path, "message_size_limit 2000") as address:
        link = MqttLink(address.host, address.port, 1, Claim("coda-fleet", "b", 1), metrics=Metrics())
        link.open("ann")
        link.publish("ann", "telemetry", b"x" * 5000)
        with pytest.raises(ConnectionFailed, match="message_size_limit"):
            for _ in range(200):
                link.take()
                await link.wait(0.1)
        await link.close()
