"""Sockets to an MQTT broker: its name's addresses are tried one after the other; what TLS has decrypted is read."""

import contextlib
import ssl

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


def read(client: Client) -> MQTTErrorCode:
    """Read what has come: with TLS also what lies decrypted already, of which the socket says nothing any more."""
    while True:
        code, sock = client.loop_read(), client.socket()
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS or not isinstance(sock, ssl.SSLSocket) or not sock.pending():
            return code
