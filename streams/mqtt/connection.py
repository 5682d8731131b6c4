"""Where the MQTT broker is, and whether it answers."""

import selectors
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from paho.mqtt.client import Client, ConnectFlags, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from device_sim.mqtt_credentials import OPEN, TUNNEL, Keyring
from device_sim.mqtt_dial import dial
from device_sim.mqtt_failure import (
    GARBLED,
    NO_CONNACK,
    SHUT,
    Failure,
    of_code,
    of_error,
    of_first_bytes,
    of_limits,
)
from wire.errors import ConnectionFailed, InputError

DEFAULT_PORT, TLS_PORT = 1883, 8883  # IANA: mqtt, secure-mqtt
_KEEPALIVE_S = 60  # longer than any probe


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """The address of one MQTT 5 broker, and as whom we come: `name`, with what `keyring` has of it."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    name: str = TUNNEL
    keyring: Keyring = OPEN

    @classmethod
    def parse(cls, address: str, name: str = TUNNEL, credentials: Path | None = None) -> Self:
        """Settings from `host:port`, `host` or `[IPv6]:port`, for TLS `mqtts://host:port`, and a folder.

        Raises `InputError`.

        >>> settings = MqttSettings.parse("mqtts://broker.local")
        >>> settings.host, settings.port, settings.keyring.tls
        ('broker.local', 8883, True)
        """
        scheme, there, place = address.rpartition("://")
        tls = scheme == "mqtts"
        default_port = TLS_PORT if tls else DEFAULT_PORT
        host, colon, port = place.rpartition(":")
        if not colon or place.endswith("]"):
            host, port = place, str(default_port)
        ipv6 = host.startswith("[") and host.endswith("]")  # as its colons would be taken for that of the port
        host = host[1:-1] if ipv6 else host
        known = (scheme in {"mqtt", "mqtts"} or not there) and ipv6 == (":" in host)
        if not known or not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise InputError(
                f"{address!r} is no MQTT address; write host:port, for example 127.0.0.1:{DEFAULT_PORT}, "
                f"for TLS mqtts://host:{TLS_PORT}"
            )
        if credentials is not None and not credentials.is_dir():
            raise InputError(f"--mqtt-credentials: no folder {credentials}: `coda devices enrol` makes one")
        return cls(host, int(port), name, Keyring(credentials, tls))

    @property
    def address(self) -> str:
        """The broker as `host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def probe(settings: MqttSettings, timeout_s: float = 5.0) -> None:
    """Return when the broker accepts us and allows what we need; raise `ConnectionFailed` when not, or not in time."""
    answers: list[Failure | None] = []

    def on_connect(_: Client, __: Any, ___: ConnectFlags, reason: ReasonCode, granted: Properties | None) -> None:
        answers.append(of_code(reason.value) if reason.is_failure else of_limits(granted))

    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5, reconnect_on_failure=False)
    client.on_connect = on_connect
    client.connect_timeout = timeout_s
    try:
        settings.keyring.equip(client, settings.name, settings.host)
        dial(client, settings.host, settings.port, _KEEPALIVE_S)
        end_s = time.monotonic() + timeout_s
        failure = first_answer(client, timeout_s)
        while failure is None and not client.loop_read() and not answers:
            failure = wait_readable(client, end_s - time.monotonic())
        failure = failure or (None if answers else SHUT if settings.keyring.tls else GARBLED)
    except Exception as error:
        failure = of_error(error) if isinstance(error, OSError | UnicodeError | InputError) else GARBLED
    client.disconnect()
    client.loop_write()
    if failure := answers[0] if answers else failure:
        raise unreachable(settings, failure.text)


def first_answer(client: Client, timeout_s: float) -> Failure | None:
    """Wait until the broker answers; None when that may be a CONNACK, which paho may then read."""
    if (failure := wait_readable(client, timeout_s)) is not None:
        return failure
    sock: Any = client.socket()
    return None if isinstance(sock, ssl.SSLSocket) else of_first_bytes(sock.recv(8, socket.MSG_PEEK))


def wait_readable(client: Client, timeout_s: float) -> Failure | None:
    """Wait until there is something to read."""
    sock: Any = client.socket()
    if sock is None:
        return SHUT
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return None if timeout_s > 0 and selector.select(timeout_s) else NO_CONNACK


def unreachable(settings: MqttSettings, why: str) -> ConnectionFailed:
    """The one line that a user sees when there is no broker, or none that lets us work."""
    return ConnectionFailed(
        f"no MQTT broker at {settings.address}: {why}; "
        "start one with `scripts/mqtt up`, or give its address with --mqtt"
    )
