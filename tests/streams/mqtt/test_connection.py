import socket

import pytest

from streams.mqtt.connection import MqttSettings, probe
from tests.integration.stack import free_port
from tests.streams.mqtt.brokers import Broker
from wire.errors import ConnectionFailed, InputError


@pytest.mark.parametrize(
    "address",
    ["", ":1883", "host:", "host:abc", "host:0", "host:70000", "host:-1", "::1", "::1:1883", "[]", "[host]:1"],
)
def test_an_address_that_is_none_is_refused_with_an_example(address: str) -> None:
    with pytest.raises(InputError, match=r"write host:port, for example 127\.0\.0\.1:1883"):
        MqttSettings.parse(address)


def test_the_port_may_be_left_out() -> None:
    assert MqttSettings.parse("broker").address == "broker:1883"


@pytest.mark.parametrize("address", ["[::1]:1884", "mqtts://[::1]:1884", "[2001:db8::7]"])
def test_an_ipv6_address_stands_in_brackets(address: str) -> None:
    settings = MqttSettings.parse(address)
    assert settings.host in {"::1", "2001:db8::7"}, "as a socket takes it"
    assert settings.port == (1884 if settings.host == "::1" else 1883)
    assert settings.address == f"[{settings.host}]:{settings.port}"


def test_a_broker_that_answers_passes(broker: Broker) -> None:
    probe(broker.settings)


def test_nothing_there_is_one_clear_line() -> None:
    with pytest.raises(ConnectionFailed, match="connection refused; start one with `scripts/mqtt up`") as failure:
        probe(MqttSettings(port=free_port()))
    assert "\n" not in str(failure.value)


def test_an_unknown_host_is_said_so() -> None:
    with pytest.raises(ConnectionFailed, match="no such host"):
        probe(MqttSettings("no-such-host.invalid", 1883))


def test_something_else_on_the_port_does_not_hang_us() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(ConnectionFailed, match="does not answer as an MQTT 5 broker"):
            probe(MqttSettings(port=port), timeout_s=0.3)
