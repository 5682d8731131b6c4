"""Reaching an MQTT broker by its name: the look-up ends, and the host's addresses are tried one after the other."""

import contextlib

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

from wire.lookup import addresses


def dial(client: Client, host: str, port: int, keepalive_s: int) -> MQTTErrorCode:
    """Connect `client`, blocking, and send its CONNECT; raises `NameUnanswered`, or what else goes wrong."""
    *others, last = addresses(host)
    for address in others:
        with contextlib.suppress(OSError):  # as with `localhost`, of which a broker may serve one address only
            return client.connect(address, port, keepalive_s, clean_start=True)
    return client.connect(last, port, keepalive_s, clean_start=True)
