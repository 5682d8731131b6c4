"""What `streams.mqtt.broker` promises, held against every broker there is."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from streams.mqtt.broker import WINDOW, Client, Received
from streams.tunnel.uplink import SHARED
from tests.streams.mqtt.stages import STAGES, Stage
from wire.errors import ConnectionFailed

Connect = Callable[..., Client]


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with request.param(tmp_path) as found:
        yield found


@pytest.fixture
def connect(stage: Stage) -> Iterator[Connect]:
    """Opens clients, waits for their connections, and closes them at the end."""
    with ExitStack() as stack:

        def make(client_id: str, *subscriptions: str, qos: int = 1) -> Client:
            client = stage.broker.client(client_id, subscriptions, qos=qos)
            client.open()
            stack.callback(client.close)
            stage.until(lambda: client.taken() or client.connected, f"the connection of {client_id}")
            return client

        yield make


def read(stage: Stage, client: Client, number: int) -> list[Received]:
    got: list[Received] = []

    def enough() -> bool:
        new = client.received(10_000)
        client.acknowledge(new)
        got.extend(new)
        return len(got) >= number

    stage.until(enough, f"{number} messages")
    return got


def more(stage: Stage, client: Client) -> list[Received]:
    """What comes in a while."""
    stage.passes(0.5)
    new = client.received(10_000)
    client.acknowledge(new)
    return new


def confirmed(stage: Stage, client: Client, number: int) -> list[Any]:
    tokens: list[Any] = []

    def enough() -> bool:
        tokens.extend(client.taken())
        return len(tokens) >= number

    stage.until(enough, f"{number} confirmations")
    return tokens


def payloads(messages: list[Received]) -> list[bytes]:
    return [message.payload for message in messages]


def test_what_is_published_arrives_in_order_and_is_confirmed(stage: Stage, connect: Connect) -> None:
    reader, sender = connect("reader", "coda/devices/+/events"), connect("sender")
    number = 5 * WINDOW
    for token in range(number):
        sender.publish("coda/devices/ann/events", b"%d" % token, token=token)
    assert sender.unconfirmed == number
    seen: list[Any] = []
    got: list[Received] = []

    def through() -> bool:
        seen.extend(sender.taken())
        new = reader.received(10_000)
        reader.acknowledge(new)
        got.extend(new)
        return len(seen) >= number and len(got) >= number

    stage.until(through, "all of them")
    assert sorted(seen) == list(range(number)) and sender.unconfirmed == 0
    assert payloads(got) == [b"%d" % token for token in range(number)]
    assert not any(message.retained for message in got) and got[0].topic == "coda/devices/ann/events"


def test_settling_waits_for_the_brokers_word_and_keeps_it_for_who_asks(stage: Stage, connect: Connect) -> None:
    sender = connect("sender")
    sender.publish("coda/devices/ann/events", b"x", token="x")
    stage.until(lambda: sender.settle(1), "a confirmation")
    assert sender.unconfirmed == 0 and sender.taken() == ["x"] and sender.refused() == []


def test_the_newest_retained_message_waits_for_who_comes_later(stage: Stage, connect: Connect) -> None:
    sender = connect("sender")
    sender.publish("coda/devices/ann/candidates", b"old", retain=True, expiry_s=60)
    sender.publish("coda/devices/ann/candidates", b"new", retain=True, expiry_s=60)
    confirmed(stage, sender, 2)
    (message,) = read(stage, connect("ann", "coda/devices/ann/candidates"), 1)
    assert (message.payload, message.retained) == (b"new", True)


def test_a_retained_message_is_gone_when_its_budget_is_over(stage: Stage, connect: Connect) -> None:
    sender = connect("sender")
    sender.publish("coda/devices/ann/candidates", b"short", retain=True, expiry_s=1)
    confirmed(stage, sender, 1)
    stage.passes(2.2)
    assert more(stage, connect("ann", "coda/devices/ann/candidates")) == []


def test_a_model_of_a_few_megabytes_passes(stage: Stage, connect: Connect) -> None:
    payload = bytes(range(256)) * 20_000  # 5.1 MB
    sender, device = connect("sender"), connect("ann", "coda/models/current")
    sender.publish("coda/models/current", payload, retain=True)
    assert payloads(read(stage, device, 1)) == [payload]


def test_members_of_one_shared_subscription_split_the_messages(stage: Stage, connect: Connect) -> None:
    topic = "$share/coda-tunnel/coda/devices/+/events"
    members, sender = (connect("one", topic), connect("two", topic)), connect("sender")
    for number in range(100):
        sender.publish("coda/devices/ann/events", b"%d" % number)
    confirmed(stage, sender, 100)
    shares: list[set[bytes]] = [set(), set()]

    def all_of_them() -> bool:
        for member, share in zip(members, shares, strict=True):
            new = member.received(1000)
            member.acknowledge(new)
            share.update(payloads(new))
        return len(shares[0] | shares[1]) == 100

    stage.until(all_of_them, "all of them")
    assert not shares[0] & shares[1] and min(map(len, shares)) > 0


def test_groups_share_each_topic_of_theirs_without_loss(stage: Stage, connect: Connect) -> None:
    tunnels = [connect(name, *SHARED) for name in ("one", "two", "three")]
    sender = connect("sender")
    expected = [(f"coda/devices/ann/{('events', 'ack', 'requests')[n % 3]}", b"%d" % n) for n in range(300)]
    for topic, payload in expected:
        sender.publish(topic, payload)
    confirmed(stage, sender, 300)
    got: list[tuple[str, bytes]] = []

    def all_of_them() -> bool:
        for tunnel in tunnels:
            new = tunnel.received(1000)
            tunnel.acknowledge(new)
            got.extend((message.topic, message.payload) for message in new)
        return len(got) >= 300

    stage.until(all_of_them, "all of them")
    assert sorted(got) == sorted(expected)


def test_everyone_who_is_there_is_seen_by_who_comes_later_at_qos_0(stage: Stage, connect: Connect) -> None:
    sender = connect("sender")
    for number in range(500):
        sender.publish(f"coda/devices/{number}/presence", b"here", retain=True)
    confirmed(stage, sender, 500)
    assert len(read(stage, connect("gauge", "coda/devices/+/presence", qos=0), 500)) == 500


def test_a_broker_that_crashes_is_waited_for_and_nothing_is_lost(stage: Stage, connect: Connect) -> None:
    sender = connect("sender")
    sender.publish("coda/devices/ann/candidates", b"before", token=0)
    assert confirmed(stage, sender, 1) == [0]
    stage.crash()
    for token in range(1, 2 * WINDOW):
        sender.publish(f"coda/devices/{token}/candidates", b"%d" % token, token=token, retain=True)
    stage.restart()
    assert sorted(confirmed(stage, sender, 2 * WINDOW - 1)) == list(range(1, 2 * WINDOW))
    assert sender.connections == 2
    some = (1, WINDOW, 2 * WINDOW - 1)
    late = connect("late", *(f"coda/devices/{token}/candidates" for token in some))
    assert set(payloads(read(stage, late, 3))) == {b"%d" % token for token in some}


def test_nothing_is_published_again_before_its_owner_looks(stage: Stage, connect: Connect) -> None:
    """Who stood still may have lost to another what it had in hand."""
    sleeper = connect("sleeper")
    stage.crash()
    stage.until(lambda: not sleeper.connected, "that it notices")
    sleeper.publish("coda/devices/ann/candidates", b"old", token=1, retain=True)
    stage.restart()
    stage.until(lambda: sleeper.connected, "its connection")
    sleeper.publish("coda/devices/bob/candidates", b"old", token=2, retain=True)
    owner = connect("owner")
    owner.publish("coda/devices/ann/candidates", b"new", retain=True)
    confirmed(stage, owner, 1)
    ann = connect("ann", "coda/devices/+/candidates")
    assert payloads(read(stage, ann, 1) + more(stage, ann)) == [b"new"]
    assert sorted(confirmed(stage, sleeper, 2)) == [1, 2]


def test_starting_over_tells_what_was_confirmed(stage: Stage, connect: Connect) -> None:
    sender = connect("sender")
    sender.publish("coda/devices/ann/candidates", b"one", token=1)
    stage.until(lambda: sender.settle(1), "a confirmation")
    assert sender.start_over() == [1] and sender.taken() == []


def test_a_subscription_survives_a_crash_of_the_broker(stage: Stage, connect: Connect) -> None:
    reader, sender = connect("reader", "coda/devices/+/events"), connect("sender")
    stage.crash()
    stage.until(lambda: not reader.connected and not sender.connected, "that they notice")
    stage.restart()
    stage.until(lambda: reader.connections == sender.connections == 2 and reader.connected, "both connections")
    sender.publish("coda/devices/ann/events", b"after")
    assert payloads(read(stage, reader, 1)) == [b"after"]


def test_starting_over_forgets_what_was_not_confirmed(stage: Stage, connect: Connect) -> None:
    sender = connect("sender")
    stage.crash()
    sender.publish("coda/devices/ann/candidates", b"stale", token=1, retain=True)
    sender.start_over()
    assert sender.unconfirmed == 0
    stage.restart()
    sender.publish("coda/devices/ann/candidates", b"fresh", token=2, retain=True)
    assert confirmed(stage, sender, 1) == [2]
    ann = connect("ann", "coda/devices/ann/candidates")
    assert payloads(read(stage, ann, 1) + more(stage, ann)) == [b"fresh"]


def test_who_unsubscribes_gets_nothing_that_comes_after(stage: Stage, connect: Connect) -> None:
    reader, sender = connect("reader", "coda/devices/+/events"), connect("sender")
    reader.unsubscribe()
    more(stage, reader)
    sender.publish("coda/devices/ann/events", b"late")
    confirmed(stage, sender, 1)
    assert more(stage, reader) == []


def test_a_second_client_of_an_id_takes_the_connection_away(stage: Stage, connect: Connect) -> None:
    first = connect("same")
    connect("same")
    stage.until(lambda: not first.connected or first.connections > 1, "the end of the first connection")


@pytest.mark.parametrize("name", ["a/b", "a+b", "#", "$x", "ü b"])
def test_any_name_makes_a_client(connect: Connect, name: str) -> None:
    connect(name)
    connect("another")


def test_without_a_broker_opening_says_so_at_once(stage: Stage) -> None:
    stage.crash()
    client = stage.broker.client("early")
    with pytest.raises(ConnectionFailed):
        client.open()
    client.close()
    assert stage.broker.address
