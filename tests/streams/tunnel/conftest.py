"""The tunnel's two brokers, of every kind."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.streams.mqtt.brokers import KINDS, Mosquitto
from tests.streams.tunnel.world import REAL, World


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """The embedded Kafka and each MQTT broker; for what a Kafka group does, `REAL` is Apache Kafka and mosquitto."""
    with ExitStack() as stack:
        if request.param == REAL:
            yield World(stack, stack.enter_context(Mosquitto(tmp_path)), request.getfixturevalue("real_kafka"))
        else:
            yield World(stack, stack.enter_context(request.param(tmp_path)))
