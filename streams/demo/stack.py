"""The brokers that a run stands on: embedded ones, or Apache Kafka and mosquitto in the run's folder."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from streams.faults.conductor import Victim
from streams.faults.servers import Server
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.mqtt.connection import MqttSettings
from streams.mqtt.embedded import EmbeddedMqtt
from streams.ports import free_ports

StackName = Literal["embedded", "servers"]
_HEAP = "384m"  # of a node: three fit a machine on which all of our processes run, too
_LISTENER, _PROXY = 200, 300  # above a node's port: where it listens for who comes by a proxy, and where that listens


@dataclass(frozen=True)
class Stack:
    """Where Kafka and the MQTT broker are, and their processes by name.

    `kafka` is as whoever judges reaches it; `proxied` says for each node where a proxy passes on to, and where clients
    are told to find that proxy. Without any, Kafka can only be reached directly.
    """

    kafka: KafkaSettings
    mqtt: MqttSettings
    victims: Mapping[str, Victim]
    proxied: tuple[tuple[int, int], ...] = ()


@contextmanager
def open_stack(name: StackName, folder: Path, nodes: int = 1) -> Iterator[Stack]:
    """The stack while the context is open, with so many nodes of Kafka where it is no embedded one."""
    if name == "embedded":
        with EmbeddedKafka() as kafka, EmbeddedMqtt() as mqtt:
            yield Stack(KafkaSettings(kafka.bootstrap), mqtt.settings, {"mqtt": mqtt})
        return
    with _servers(folder, nodes) as stack:
        yield stack


@contextmanager
def _servers(folder: Path, nodes: int) -> Iterator[Stack]:
    kafka_port, mqtt_port = free_ports(2)
    kafka = Server("kafka", folder / "kafka", kafka_port, "--nodes", str(nodes), "--heap", _HEAP, "--proxied")
    mqtt = Server("mqtt", folder / "mqtt", mqtt_port)
    with ExitStack() as opened:
        for server in (kafka, mqtt):
            opened.callback(server.down)
            server.up()
        ports = range(kafka_port, kafka_port + nodes)
        victims: dict[str, Victim] = {f"kafka-{n}": node for n, node in enumerate(kafka.nodes(), 1)}
        yield Stack(
            kafka=KafkaSettings(",".join(f"127.0.0.1:{port}" for port in ports), replication=min(nodes, 3)),
            mqtt=MqttSettings(port=mqtt_port),
            victims=victims | {"mqtt": mqtt.nodes()[0]},
            proxied=tuple((port + _LISTENER, port + _PROXY) for port in ports),
        )
