"""What may listen on a broker's port without being much of a broker."""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self

Behaviour = Callable[["Partner", socket.socket], None]


def connack(reason: int = 0, properties: bytes = b"") -> bytes:
    """A CONNACK of MQTT 5."""
    return bytes([0x20, 3 + len(properties), 0, reason, len(properties)]) + properties


class Partner:
    """Listens, reads what comes, and behaves as told to; `connections` counts who came."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._server = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.host, self.port = "127.0.0.1", self._server.getsockname()[1]
        self.connections = 0
        self.over = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def behave(self, behaviour: Behaviour) -> None:
        """From now on to whoever comes."""
        self._behaviour = behaviour

    def _serve(self) -> None:
        while not self.over.is_set():
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._meet, args=(client,), daemon=True).start()

    def _meet(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            self._behaviour(self, client)


def silent(partner: Partner, client: socket.socket) -> None:
    """Accepts, and that is all."""
    partner.over.wait()


def shut(_partner: Partner, client: socket.socket) -> None:
    """Closes at once, as mosquitto does when it has as many connections as it takes."""
    client.recv(4096)


def half_shut(partner: Partner, client: socket.socket) -> None:
    """Says that it will say nothing, and goes on listening."""
    client.recv(4096)
    client.shutdown(socket.SHUT_WR)
    partner.over.wait()


def dribble(partner: Partner, client: socket.socket) -> None:
    """Begins a CONNACK of a megabyte, a byte every now and then."""
    client.recv(4096)
    for byte in bytes([0x20, 0xFF, 0xFF, 0x3F]) + bytes(1000):
        client.send(bytes([byte]))
        if partner.over.wait(0.05):
            return


def answers(*packets: bytes, last: bool = False) -> Behaviour:
    """Answers with these, one per message that comes, and then stays silent, or leaves where these were the `last`."""

    def behave(partner: Partner, client: socket.socket) -> None:
        for packet in packets:
            client.recv(65536)
            client.sendall(packet)
        if not last:
            partner.over.wait()

    return behave


def goodbye(reason: int) -> bytes:
    """A DISCONNECT of MQTT 5."""
    return bytes([0xE0, 2, reason, 0])


def turns_into(first: Behaviour, later: Behaviour) -> Behaviour:
    """Meets the first client in one way, and whoever comes later in another."""
    met: list[socket.socket] = []

    def behave(partner: Partner, client: socket.socket) -> None:
        met.append(client)
        (first if met[0] is client else later)(partner, client)

    return behave
