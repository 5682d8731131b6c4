"""An MQTT 5 broker that comes with `pip install`: iotcore's rumqttd, in a process of its own.

It keeps retained messages and last wills, but no queues for clients that are offline and nothing on disk:
good for trying out and for tests; nothing in this project depends on more. `python -m streams.mqtt.embedded
FILE` is the broker's process: it ends when whoever started it goes away, and ignores Ctrl-C, so that
those connected to it can still say goodbye.
"""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Self

from streams.mqtt.connection import MqttSettings
from streams.ports import free_ports
from wire.errors import ConnectionFailed

START_LIMIT_S = 20.0  # it takes 0.1 s alone, and the machine may be busy
# rumqttd keeps a log per subscription filter and forgets its oldest segment when the last one is full. On a device's
# own filters the newest message is all that matters: two segments that one batch of 30 kB fills cost 2,500 devices
# at most 2 * 2,500 * (16 + 30) kB = 230 MB (measured: the process takes 413 MB, retained batches included).
# What all devices send up shares one filter per kind: 16 * 8 MB there.
_CONFIG = """
id = 0
[router]
id = 0
max_connections = 11000
max_outgoing_packet_count = 10000
max_segment_size = 16384
max_segment_count = 2
[router.custom_segment.'coda/devices/+/events']
max_segment_size = 8388608
max_segment_count = 16
[router.custom_segment.'coda/devices/+/ack']
max_segment_size = 8388608
max_segment_count = 16
[router.custom_segment.'coda/devices/+/requests']
max_segment_size = 8388608
max_segment_count = 16
[router.custom_segment.'coda/devices/+/telemetry']
max_segment_size = 8388608
max_segment_count = 16
[router.custom_segment.'coda/devices/+/presence']
max_segment_size = 8388608
max_segment_count = 16
[v5.1]
name = "coda"
listen = "{listen}"
next_connection_delay_ms = 0
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 67108864
max_inflight_count = 200
dynamic_filters = true
"""


class EmbeddedMqtt:
    """A broker on 127.0.0.1 that runs while the context is open; raises `ConnectionFailed`.

    `port` 0 takes a free one. `kill` and `start` stand for a crash and a restart on the same port.
    """

    def __init__(self, port: int = 0) -> None:
        self.settings = MqttSettings(port=port or free_ports(1)[0])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """The broker as `host:port`."""
        return self.settings.address

    @property
    def pid(self) -> int:
        """The process id of the running broker; raises `ConnectionFailed` when none runs."""
        if self._process is None:
            raise ConnectionFailed(f"no embedded MQTT broker runs on {self.address}")
        return self._process.pid

    def start(self) -> None:
        """Start the broker's process and return when it accepts connections."""
        if _accepts(self.settings):
            raise ConnectionFailed(f"{self.address} is taken by another program; choose another port or stop it")
        with tempfile.TemporaryDirectory(prefix="coda-mqtt-") as folder:
            config = Path(folder) / "broker.toml"
            config.write_text(_CONFIG.format(listen=self.address))
            command = [sys.executable, "-m", "streams.mqtt.embedded", str(config)]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE)
            self._wait_until_up()

    def _wait_until_up(self) -> None:
        assert self._process is not None
        end = time.monotonic() + START_LIMIT_S
        while not _accepts(self.settings):
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise ConnectionFailed(f"the embedded MQTT broker did not start on {self.address}; try another port")
            time.sleep(0.02)

    def kill(self, _grace_s: float = 0.0) -> None:
        """End the broker at once, as a crash would; clients are cut off and retained messages are gone."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()


def _accepts(settings: MqttSettings) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((settings.host, settings.port), timeout=0.5):
        return True
    return False


def _serve(config: str) -> None:
    from iotcore import IotCoreBroker  # noqa: PLC0415  only the broker's own process needs it

    # rumqttd wraps its routing in error spans: without this every packet would be logged as an error.
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    IotCoreBroker(config_path=config).run_forever()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()  # returns when the other end of the pipe closes
    os._exit(0)


if __name__ == "__main__":
    _serve(sys.argv[1])
