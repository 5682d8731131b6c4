"""What only the live client has: the lines it says. What it does is in `test_broker_contract`."""

import threading
import time
from typing import Any

import pytest
from structlog.testing import capture_logs

import streams.mqtt.client as module
from device_sim.mqtt_dial import dial
from monitor.metrics import Metrics
from streams.mqtt.client import MqttClient
from tests.integration.stack import wait_until
from tests.streams.mqtt.brokers import Broker


def test_two_clients_of_one_name_say_what_may_be_wrong(broker: Broker) -> None:
    clients = [MqttClient(broker.settings, Metrics(), "same") for _ in range(2)]
    with capture_logs() as lines:
        for client in clients:
            client.open()
        end_s = time.monotonic() + 15
        while not any("another client" in str(line["event"]) for line in lines) and time.monotonic() < end_s:
            time.sleep(0.05)
    for client in clients:
        client.close()
    assert any("another client" in str(line["event"]) for line in lines)


def test_an_attempt_that_hung_when_it_was_started_over_takes_nothing_of_the_next(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, over = threading.Event(), threading.Event()

    def hangs(*_: Any) -> Any:
        begun.set()
        over.wait(10)
        raise TimeoutError

    monkeypatch.setattr(module, "GOODBYE_S", 0.05)
    client = MqttClient(broker.settings, Metrics(), "over")
    client.open()
    wait_until(lambda: client.connected, "the connection", 10, 0.01)
    monkeypatch.setattr(module, "dial", hangs)
    hung = client._thread
    broker.kill()
    broker.start()
    assert begun.wait(10)
    monkeypatch.setattr(module, "dial", dial)
    client.start_over()
    wait_until(lambda: client.connected, "the next one", 10, 0.01)
    over.set()
    hung.join(10)
    assert client.connected
    client.close()
