"""Brokers for links, with little patience; and one thread, as trainings here are many small steps."""

from collections.abc import Iterator

import pytest
import torch

from device_sim import mqtt_connection, mqtt_link
from streams.mqtt.embedded import EmbeddedMqtt

torch.set_num_threads(1)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_connection, "ANSWER_S", 0.5)
    monkeypatch.setattr(mqtt_link, "GOODBYE_S", 0.5)


@pytest.fixture
def broker() -> Iterator[EmbeddedMqtt]:
    with EmbeddedMqtt() as embedded:
        yield embedded
