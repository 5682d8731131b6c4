"""What only the live client has: the lines it says. What it does is in `test_broker_contract`."""

import time

from structlog.testing import capture_logs

from monitor.metrics import Metrics
from streams.mqtt.client import MqttClient
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
