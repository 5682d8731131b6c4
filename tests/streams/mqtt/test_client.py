import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from structlog.testing import capture_logs

from streams.mqtt.broker import WINDOW, Received
from streams.mqtt.client import MqttClient
from streams.tunnel.uplink import SHARED
from tests.streams.mqtt.brokers import Broker

Connect = Callable[..., MqttClient]


@pytest.fixture
def connect(broker: Broker) -> Iterator[Connect]:
    """Opens clients that are closed at the end."""
    with ExitStack() as stack:

        def make(client_id: str, *subscriptions: str, qos: int = 1) -> MqttClient:
            client = MqttClient(broker.settings, client_id, subscriptions, qos=qos)
            client.open()
            stack.callback(client.close)
            stand(client)
            return client

        yield make


def stand(client: MqttClient) -> None:
    """Wait for the connection and its subscriptions."""
    end_s = time.monotonic() + 15
    while not client.connected:
        assert time.monotonic() < end_s, "never connected"
        time.sleep(0.005)


def _read(client: MqttClient, number: int, timeout_s: float = 30) -> list[Received]:
    got: list[Received] = []
    end = time.monotonic() + timeout_s
    while len(got) < number and time.monotonic() < end:
        new = client.received(10_000, 0.05)
        client.acknowledge(new)
        got += new
    return got


def _confirm(client: MqttClient, number: int, timeout_s: float = 15) -> list[object]:
    tokens: list[object] = []
    end = time.monotonic() + timeout_s
    while len(tokens) < number and time.monotonic() < end:
        tokens += client.taken()
        time.sleep(0.005)
    return tokens


def test_the_newest_retained_message_waits_for_who_comes_later(connect: Connect) -> None:
    sender = connect("sender")
    sender.publish("coda/devices/ann/candidates", b"old", retain=True, expiry_s=60)
    sender.publish("coda/devices/ann/candidates", b"new", retain=True, expiry_s=60)
    assert len(_confirm(sender, 2)) == 2
    (message,) = _read(connect("ann", "coda/devices/ann/candidates"), 1)
    assert (message.payload, message.retained) == (b"new", True)


def test_a_retained_message_is_gone_when_its_budget_is_over(connect: Connect) -> None:
    sender = connect("sender")
    sender.publish("coda/devices/ann/candidates", b"short", retain=True, expiry_s=1)
    _confirm(sender, 1)
    time.sleep(2.2)
    assert _read(connect("ann", "coda/devices/ann/candidates"), 1, timeout_s=0.5) == []


def test_a_model_of_a_few_megabytes_passes(connect: Connect) -> None:
    payload = bytes(range(256)) * 20_000  # 5.1 MB
    sender, device = connect("sender"), connect("ann", "coda/models/current")
    sender.publish("coda/models/current", payload, retain=True)
    assert _read(device, 1)[0].payload == payload


def test_more_than_a_window_of_publishes_are_all_confirmed_once(connect: Connect) -> None:
    sender, reader = connect("sender"), connect("reader", "coda/devices/+/events")
    number = 5 * WINDOW
    for token in range(number):
        sender.publish(f"coda/devices/{token % 7}/events", b"%d" % token, token=token)
    confirmed: list[object] = []
    got: list[Received] = []
    end = time.monotonic() + 10
    while (len(confirmed) < number or len(got) < number) and time.monotonic() < end:
        confirmed += sender.taken()
        got += _read(reader, 1, timeout_s=0.05)
    assert sorted(map(int, map(str, confirmed))) == list(range(number))
    assert {int(m.payload) for m in got} == set(range(number))
    assert sender.unconfirmed == 0


def test_members_of_one_shared_subscription_split_the_messages(connect: Connect) -> None:
    topic = "$share/coda-tunnel/coda/devices/+/events"
    one, two, sender = connect("one", topic), connect("two", topic), connect("sender")
    for number in range(100):
        sender.publish("coda/devices/ann/events", b"%d" % number)
    _confirm(sender, 100)
    shares = [{m.payload for m in _read(each, 100, timeout_s=0.7)} for each in (one, two)]
    assert len(shares[0] | shares[1]) == 100
    assert not shares[0] & shares[1]
    assert min(map(len, shares)) > 0


def test_groups_share_each_topic_of_theirs_without_loss(connect: Connect, broker: Broker) -> None:
    tunnels = [connect(name, *SHARED) for name in ("one", "two", "three")]
    sender = connect("sender")
    expected = set()
    for number in range(300):
        topic = f"coda/devices/ann/{('events', 'ack', 'requests')[number % 3]}"
        sender.publish(topic, b"%d" % number)
        expected.add((topic, b"%d" % number))
    _confirm(sender, 300)
    got = [(m.topic, m.payload) for tunnel in tunnels for m in _read(tunnel, 300, timeout_s=0.5)]
    assert sorted(got) == sorted(expected)


def test_a_broker_that_crashes_is_waited_for_and_nothing_is_lost(connect: Connect, broker: Broker) -> None:
    sender = connect("sender")
    sender.publish("coda/devices/ann/candidates", b"before", token=0)
    assert _confirm(sender, 1) == [0]
    broker.kill()
    for token in range(1, 2 * WINDOW):
        sender.publish(f"coda/devices/{token}/candidates", b"%d" % token, token=token, retain=True)
    broker.start()
    assert sorted(map(int, map(str, _confirm(sender, 2 * WINDOW - 1)))) == list(range(1, 2 * WINDOW))
    assert sender.connections == 2
    late = connect("late", *(f"coda/devices/{token}/candidates" for token in (1, WINDOW, 2 * WINDOW - 1)))
    assert {m.payload for m in _read(late, 3)} == {b"%d" % token for token in (1, WINDOW, 2 * WINDOW - 1)}


def test_a_subscription_survives_a_crash_of_the_broker(connect: Connect, broker: Broker) -> None:
    reader, sender = connect("reader", "coda/devices/+/events"), connect("sender")
    broker.kill()
    broker.start()
    end = time.monotonic() + 15
    while not (reader.connections == sender.connections == 2 and reader.connected) and time.monotonic() < end:
        time.sleep(0.05)
    sender.publish("coda/devices/ann/events", b"after")
    assert [m.payload for m in _read(reader, 1)] == [b"after"]


def test_two_clients_of_one_name_say_what_may_be_wrong(connect: Connect) -> None:
    with capture_logs() as lines:
        clients = connect("same"), connect("same")
        end = time.monotonic() + 15
        while not any("another client" in str(line["event"]) for line in lines) and time.monotonic() < end:
            time.sleep(0.05)
    assert any("another client" in str(line["event"]) for line in lines)
    assert clients


@pytest.mark.parametrize("name", ["a/b", "a+b", "#", "$x", "ü b"])
def test_any_name_makes_a_client(connect: Connect, name: str) -> None:
    connect(name)
    connect("another")


def test_everyone_who_is_there_is_seen_by_who_comes_later(connect: Connect) -> None:
    sender = connect("sender")
    for number in range(500):
        sender.publish(f"coda/devices/{number}/presence", b"here", retain=True)
    _confirm(sender, 500)
    assert len(_read(connect("gauge", "coda/devices/+/presence", qos=0), 500)) == 500


def test_starting_over_forgets_what_was_not_confirmed(connect: Connect, broker: Broker) -> None:
    sender = connect("sender")
    broker.kill()
    sender.publish("coda/devices/ann/candidates", b"stale", token=1, retain=True)
    sender.start_over()
    broker.start()
    sender.publish("coda/devices/ann/candidates", b"fresh", token=2, retain=True)
    assert _confirm(sender, 1) == [2]
    assert [m.payload for m in _read(connect("ann", "coda/devices/ann/candidates"), 2, 0.5)] == [b"fresh"]
