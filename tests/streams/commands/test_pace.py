"""`coda pace`: what an operator says reaches devices, and what they would refuse is never sent."""

import pytest

from device_sim import topics
from monitor.metrics import Metrics
from streams.commands.pace import command
from streams.mqtt.client import MqttClient
from streams.mqtt.embedded import EmbeddedMqtt
from streams.mqtt.options import MqttOptions
from streams.times import Duration
from wire.errors import InputError
from wire.pace import Pace, decode_pace


def retained(broker: EmbeddedMqtt) -> list[bytes]:
    client = MqttClient(broker.settings, Metrics(), "device", [topics.PACE])
    client.open()
    messages = client.received(10, timeout_s=1.0)
    client.close()
    return [message.payload for message in messages]


def test_a_pace_is_retained_until_it_is_taken_back() -> None:
    with EmbeddedMqtt() as broker:
        command(mqtt=MqttOptions(broker.address), wait=Duration(5), spread=Duration(30), lasts=Duration(120))
        (said,) = retained(broker)
        assert decode_pace(said) == Pace(5, 30, 120)
        command(mqtt=MqttOptions(broker.address), take_back=True)
        assert retained(broker) == []


@pytest.mark.parametrize("wrong", [Pace(-1, 0, 60), Pace(0, 3601, 60), Pace(1800.5, 1800, 60), Pace(0, 0, 3601)])
def test_what_devices_would_refuse_is_one_line(wrong: Pace) -> None:
    with pytest.raises(InputError, match="from 0s to 1h"):
        command(wait=Duration(wrong.wait_s), spread=Duration(wrong.spread_s), lasts=Duration(wrong.lasts_s))
