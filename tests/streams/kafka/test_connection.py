import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from streams.kafka.connection import KafkaSettings, is_embedded, probe
from tests.integration.stack import free_port
from wire.errors import ConnectionFailed


def test_a_broker_that_is_not_there_is_said_at_once_in_one_line() -> None:
    began = time.monotonic()
    with pytest.raises(ConnectionFailed) as failed:
        probe(f"127.0.0.1:{free_port()}", timeout_s=0.5)
    assert time.monotonic() - began < 3
    assert "\n" not in str(failed.value)
    assert "scripts/kafka up" in str(failed.value)


def test_the_embedded_broker_is_recognised(kafka: KafkaSettings) -> None:
    assert is_embedded(kafka.bootstrap)


@contextmanager
def listener(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Something that accepts connections, and what it makes of each."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk(client: socket.socket) -> None:
            with client, suppress(OSError):
                serve(client)

        def run() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=talk, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=run, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def pump(source: socket.socket, target: socket.socket, change: Callable[[bytes], bytes]) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(change(data))


def test_a_kafka_that_advertises_a_name_nobody_knows_is_said_with_that_name(kafka: KafkaSettings) -> None:
    host, port = kafka.bootstrap.split(":")

    def serve(client: socket.socket) -> None:
        with socket.create_connection((host, int(port))) as broker:
            threading.Thread(target=pump, args=(client, broker, lambda data: data), daemon=True).start()
            pump(broker, client, lambda data: data.replace(b"127.0.0.1", b"a.invalid"))

    began = time.monotonic()
    with listener(serve) as address, pytest.raises(ConnectionFailed, match=rf"a\.invalid:{port}.*advertised") as failed:
        probe(address)
    assert time.monotonic() - began < 7
    assert "\n" not in str(failed.value)


def test_what_is_no_kafka_is_said_in_one_line() -> None:
    def web(client: socket.socket) -> None:
        client.recv(1000)
        client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    def silence(client: socket.socket) -> None:
        while client.recv(1000):
            pass

    def hangs_up(client: socket.socket) -> None:
        client.recv(1000)
        client.shutdown(socket.SHUT_RDWR)

    with listener(hangs_up) as address, pytest.raises(ConnectionFailed, match="SASL perhaps: say so in --kafka-config"):
        probe(address, timeout_s=2)
    with listener(web) as address, pytest.raises(ConnectionFailed, match="another protocol"):
        probe(address, timeout_s=2)
    with listener(silence) as address, pytest.raises(ConnectionFailed, match="no Kafka"):
        probe(address, timeout_s=2)


@pytest.mark.servers
def test_a_real_broker_is_recognised(real_kafka: KafkaSettings) -> None:
    assert not is_embedded(real_kafka.bootstrap)
