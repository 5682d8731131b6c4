"""The brokers that every MQTT test runs on: the embedded one, and mosquitto where it is installed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.streams.mqtt.brokers import KINDS, Broker


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """A broker of each kind that a test may kill."""
    with request.param(tmp_path) as running:
        yield running
