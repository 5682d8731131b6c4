"""What the client says when the other side is no broker, or one that does not let it work."""

import resource
import socket
import time
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from device_sim.backoff import Backoff
from monitor.metrics import Metrics
from streams.mqtt import client as module
from streams.mqtt.client import MqttClient
from streams.mqtt.connection import MqttSettings, probe
from streams.mqtt.embedded import EmbeddedMqtt
from tests.device_sim.partner import (
    Behaviour,
    Partner,
    answers,
    connack,
    dribble,
    goodbye,
    half_shut,
    shut,
    silent,
    turns_into,
)
from wire.errors import ConnectionFailed, DeliveryError

SUBACK = bytes([0x90, 4, 0, 1, 0, 1])


def failures(metrics: Metrics, reason: str) -> float:
    return metrics.value(Metrics.mqtt_failures, client="tunnel", reason=reason)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def wait_until(holds: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end_s
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("behaviour", "text"),
    [
        (silent, "does not answer as an MQTT 5 broker"),
        (dribble, "does not answer as an MQTT 5 broker"),
        (shut, "mosquitto: max_connections"),
        (half_shut, "closed the connection without an answer"),
        (answers(b"\x15\x03\x01\x00\x02\x02\x46"), "speaks TLS"),
        (answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "no MQTT 5"),
        (answers(b"\x20\x05\x00\x00\x02\xff\xff"), "no MQTT 5"),
        (answers(connack(135)), "not authorised"),
        (answers(connack(137)), "it is busy"),
        (answers(connack(0, bytes([0x24, 0]))), "max_qos"),
        (answers(connack(0, bytes([0x25, 0]))), "retain_available"),
    ],
)
def test_a_probe_ends_with_one_line_that_says_why(behaviour: Behaviour, text: str) -> None:
    with Partner(behaviour) as partner:
        began_s = time.monotonic()
        with pytest.raises(ConnectionFailed, match=text) as failure:
            probe(MqttSettings(partner.host, partner.port), timeout_s=0.5)
        assert "\n" not in str(failure.value) and time.monotonic() < began_s + 3


@pytest.mark.parametrize(
    ("behaviour", "reason", "text"),
    [
        (silent, "no_connack", "does not answer as an MQTT 5 broker"),
        (answers(connack()), "no_suback", "does not answer subscriptions"),
        (shut, "shut", "mosquitto: max_connections"),
        (answers(connack(137)), "busy", "it is busy"),
        (answers(connack(), SUBACK + goodbye(142)), "taken_over", "under the same name"),
        (answers(connack(), SUBACK, last=True), "quick", "as soon as it was made"),
        (answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "garbled", "no MQTT 5"),
    ],
)
def test_every_attempt_ends_is_counted_said_once_and_made_again(
    metrics: Metrics, behaviour: Behaviour, reason: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.2)
    with Partner(turns_into(answers(connack()), behaviour)) as partner, capture_logs() as lines:
        client = MqttClient(MqttSettings(partner.host, partner.port), metrics, "a", ["x"])
        client.open()
        wait_until(lambda: failures(metrics, reason) >= 3)
        client.close()
    assert sum(text in line["event"] for line in lines) == 1


def test_who_was_let_in_once_waits_to_be_let_in_again(metrics: Metrics) -> None:
    first = turns_into(answers(connack()), answers(connack(), SUBACK, last=True))  # the probe, and then the client
    with Partner(first) as partner, capture_logs():
        client = MqttClient(MqttSettings(partner.host, partner.port), metrics, "a", ["x"])
        client.open()
        wait_until(lambda: client.connections > 0)
        partner.behave(answers(connack(135)))
        wait_until(lambda: failures(metrics, "not_authorised") >= 2)
        client.check()  # it goes on
        client.close()


def test_too_many_open_files_are_counted_said_and_waited_for(metrics: Metrics) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with EmbeddedMqtt() as broker, capture_logs() as lines:
        client = MqttClient(broker.settings, metrics, "a", ["x"])
        client.open()
        wait_until(lambda: client.connected)
        sock = client._paho.socket()
        assert isinstance(sock, socket.socket)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))  # numbers below are taken: no file can be opened
            sock.shutdown(socket.SHUT_RDWR)
            wait_until(lambda: failures(metrics, "files") > 0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        wait_until(lambda: client.connected)
        client.close()
    assert any("no connection to the MQTT broker" in line["event"] for line in lines)


def test_no_suback_is_one_line_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.3)
    with Partner(answers(connack())) as partner, capture_logs() as lines:
        client = MqttClient(MqttSettings(partner.host, partner.port), Metrics(), "a", ["x"])
        client.open()
        end_s = time.monotonic() + 5
        while not lines and time.monotonic() < end_s:
            time.sleep(0.01)
        assert not client.connected
        client.close()
    assert any("does not answer subscriptions" in line["event"] for line in lines)


def test_who_is_let_in_and_cut_at_once_waits_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[int] = []

    def no_pause(_: Backoff, failures: int) -> float:
        failed.append(failures)
        return 0.0

    monkeypatch.setattr(Backoff, "pause_s", no_pause)
    with Partner(answers(connack(), SUBACK, last=True)) as partner:
        client = MqttClient(MqttSettings(partner.host, partner.port), Metrics(), "a", ["x"])
        client.open()
        end_s = time.monotonic() + 5
        while len(failed) < 4 and time.monotonic() < end_s:
            time.sleep(0.01)
        client.close()
    assert failed[:4] == [1, 2, 3, 4]


def test_what_is_larger_than_the_broker_takes_is_counted_said_and_passed_over(metrics: Metrics) -> None:
    taken: list[str] = []
    with (
        Partner(answers(connack(0, bytes([0x27, 0, 0, 0, 100])), bytes([0x40, 2, 0, 1]))) as partner,
        capture_logs() as lines,
    ):
        client = MqttClient(MqttSettings(partner.host, partner.port), metrics, "a")
        client.open()
        client.publish("x", b"x" * 200, token="large")
        client.publish("x", b"x", token="small")
        end_s = time.monotonic() + 5
        while not taken and time.monotonic() < end_s:
            taken += client.taken()
            time.sleep(0.01)
        assert (taken, client.refused(), client.unconfirmed) == (["small"], ["large"], 0)
        client.publish("x", b"x" * 200, essential=True)
        with pytest.raises(DeliveryError, match=r"at most 100 bytes.*mosquitto"):
            client.taken()
        client.close()
    assert any("at most 100 bytes" in line["event"] for line in lines)
    assert metrics.value(Metrics.mqtt_refused, client="tunnel", reason="too_large") == 2


@pytest.mark.parametrize(("lacks", "text"), [(0x28, "wildcard"), (0x2A, "shared")])
def test_subscriptions_that_the_broker_does_not_have_end_it(lacks: int, text: str) -> None:
    with Partner(answers(connack(0, bytes([lacks, 0])))) as partner:
        client = MqttClient(MqttSettings(partner.host, partner.port), Metrics(), "a", ["$share/g/a/+"])
        client.open()
        end_s = time.monotonic() + 5
        with pytest.raises(ConnectionFailed, match=text):
            while time.monotonic() < end_s:
                client.taken()
                time.sleep(0.01)
        client.close()
