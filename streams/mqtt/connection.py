"""Where the MQTT broker is, and whether it answers."""

import socket
import threading
from dataclasses import dataclass
from typing import Any, Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from wire.errors import ConnectionFailed, InputError

DEFAULT_PORT = 1883  # IANA: mqtt


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """The address of one MQTT 5 broker."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT

    @classmethod
    def parse(cls, address: str) -> Self:
        """Settings from `host:port` or `host`; raises `InputError`.

        >>> MqttSettings.parse("broker.local:1884")
        MqttSettings(host='broker.local', port=1884)
        """
        host, colon, port = address.rpartition(":")
        if not colon:
            host, port = address, str(DEFAULT_PORT)
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise InputError(f"{address!r} is no MQTT address; write host:port, for example 127.0.0.1:{DEFAULT_PORT}")
        return cls(host, int(port))

    @property
    def address(self) -> str:
        """The broker as `host:port`."""
        return f"{self.host}:{self.port}"


def probe(settings: MqttSettings, timeout_s: float = 5.0) -> None:
    """Return when the broker accepts an MQTT 5 connection; raise `ConnectionFailed` when it does not in time."""
    answered = threading.Event()
    answer: list[ReasonCode] = []

    def on_connect(_: Client, __: Any, ___: ConnectFlags, reason: ReasonCode, ____: Properties | None) -> None:
        answer.append(reason)
        answered.set()

    def on_disconnect(_: Client, __: Any, ___: DisconnectFlags, ____: ReasonCode, _____: Properties | None) -> None:
        answered.set()

    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    client.on_connect, client.on_disconnect = on_connect, on_disconnect
    client.connect_timeout = timeout_s
    try:
        client.connect(settings.host, settings.port)
    except (OSError, ValueError) as error:
        raise unreachable(settings, _why(error)) from error
    client.loop_start()
    answered.wait(timeout_s)
    client.disconnect()
    client.loop_stop()
    if not answer:
        raise unreachable(settings, "something listens there but does not answer as an MQTT 5 broker")
    if answer[0].is_failure:
        raise unreachable(settings, f"the broker refused the connection ({answer[0]})")


def unreachable(settings: MqttSettings, why: str) -> ConnectionFailed:
    """The one line that a user sees when there is no broker."""
    return ConnectionFailed(
        f"no MQTT broker at {settings.address}: {why}; "
        "start one with `scripts/mqtt up`, or give its address with --mqtt"
    )


def _why(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "no such host"
    if isinstance(error, TimeoutError):
        return "it does not answer"
    return (getattr(error, "strerror", None) or str(error)).lower()
