"""Nothing of ours can be reached from another machine unless told so. 127.0.0.2 stands for that machine's way in:
it is this machine too, but a server that listens on 127.0.0.1 alone does not answer there."""

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from monitor.metrics import Metrics
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.metrics_server import HOST_VARIABLE, metrics_server
from streams.mqtt.embedded import EmbeddedMqtt
from tests.integration.stack import free_port
from tests.streams.mqtt.brokers import Mosquitto

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is no address of this machine")


def answers(host: str, port: int) -> bool:
    with socket.socket() as door:
        return door.connect_ex((host, port)) == 0


def only_on_the_loopback(port: int) -> bool:
    return answers("127.0.0.1", port) and not answers("127.0.0.2", port)


@contextmanager
def metrics() -> Iterator[int]:
    port = free_port()
    with metrics_server(port, Metrics().registry):
        yield port


def test_metrics() -> None:
    with metrics() as port:
        assert only_on_the_loopback(port)


def test_metrics_that_are_to_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOST_VARIABLE, "0.0.0.0")
    with metrics() as port:
        assert answers("127.0.0.2", port)


def test_the_embedded_brokers() -> None:
    with EmbeddedKafka() as kafka, EmbeddedMqtt() as mqtt:
        assert only_on_the_loopback(int(kafka.bootstrap.rpartition(":")[2]))
        assert only_on_the_loopback(mqtt.settings.port)


@pytest.mark.servers
def test_servers_of_our_scripts(real_kafka: KafkaSettings, tmp_path: Path) -> None:
    with ExitStack() as stack:
        mqtt = stack.enter_context(Mosquitto(tmp_path))
        assert only_on_the_loopback(mqtt.settings.port)
        assert only_on_the_loopback(int(real_kafka.bootstrap.rpartition(":")[2]))
