"""Names that no name server answers for, wherever a host is named."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from streams.kafka.connection import probe as probe_kafka
from streams.mqtt.connection import MqttSettings
from streams.mqtt.connection import probe as probe_mqtt
from wire import lookup
from wire.errors import ConnectionFailed
from wire.lookup import NameUnanswered, addresses, look_up


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A resolver that is asked and says nothing; which names it was asked for."""
    over, asked = threading.Event(), []

    def silent(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        over.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    yield asked
    over.set()


def test_a_name_and_an_address_are_found() -> None:
    assert "127.0.0.1" in addresses("localhost")
    assert addresses("127.0.0.1") == ["127.0.0.1"]


def test_a_name_that_nobody_knows_is_an_error_at_once() -> None:
    with pytest.raises(socket.gaierror):
        addresses("no.such.host.invalid")
    with pytest.raises(UnicodeError):
        addresses("a" * 64 + ".invalid")


def test_a_silent_name_server_is_asked_once_by_all_who_wait(silence: list[str]) -> None:
    for _ in range(3):
        with pytest.raises(NameUnanswered, match=r"where a\.b is"):
            addresses("a.b", 0.05)
    look_up("a.b")
    assert silence == ["a.b"]


def test_a_machine_without_a_thread_to_spare_is_an_error_and_the_name_is_looked_up_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none_left(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as crowded:
        crowded.setattr(threading.Thread, "start", none_left)
        with pytest.raises(OSError, match="temporarily unavailable"):
            addresses("localhost")
    assert "127.0.0.1" in addresses("localhost")


@pytest.mark.parametrize(
    "probe",
    [lambda: probe_kafka("kafka.far:9092,kafka.away:9092", 1.0), lambda: probe_mqtt(MqttSettings("mqtt.far"), 1.0)],
    ids=["kafka", "mqtt"],
)
def test_a_probe_does_not_wait_for_a_silent_name_server(
    silence: list[str], monkeypatch: pytest.MonkeyPatch, probe: Callable[[], Any]
) -> None:
    monkeypatch.setattr(lookup.addresses, "__defaults__", (0.5,))
    began_s = time.monotonic()
    with pytest.raises(ConnectionFailed, match=r"no name server says .* \w+\.far is: mend /etc/resolv.conf") as failure:
        probe()
    assert "\n" not in str(failure.value) and time.monotonic() < began_s + 2
    assert silence
