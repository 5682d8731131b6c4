"""Brokers for tests, all with the same face."""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Protocol, Self

import pytest

from streams.faults.process_state import ENDED, becomes
from streams.mqtt.connection import MqttSettings
from streams.mqtt.embedded import EmbeddedMqtt
from tests.integration.stack import free_port

_SCRIPT = Path(__file__).parents[3] / "scripts" / "mqtt"


class Broker(Protocol):
    """What tests do with a broker."""

    settings: MqttSettings

    def start(self) -> None: ...

    def kill(self) -> None: ...


class Embedded(EmbeddedMqtt):
    """The embedded broker; keeps nothing on disk."""

    def __init__(self, _folder: Path) -> None:
        super().__init__()


class Mosquitto:
    """mosquitto through our own script."""

    def __init__(self, folder: Path) -> None:
        self.settings = MqttSettings(port=free_port())
        self._folder = folder / "mqtt"

    def start(self) -> None:
        self._script("up")

    def kill(self) -> None:
        """`kill -9`: what was not yet saved is gone."""
        pid = int((self._folder / "pid").read_text())
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        assert becomes(pid, ENDED, 10), "what leaves still listens, and looks as if it ran"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()  # `down` would wait until all is saved

    def _script(self, action: str) -> None:
        command = [str(_SCRIPT), action, "--port", str(self.settings.port), "--folder", str(self._folder)]
        subprocess.run(command, check=True, capture_output=True)


MISSING = pytest.mark.skipif(
    shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") is None,
    reason="mosquitto is not installed (apt-get install mosquitto)",
)
KINDS = [
    pytest.param(Embedded, id="embedded"),
    pytest.param(Mosquitto, id="mosquitto", marks=[pytest.mark.servers, MISSING]),
]
