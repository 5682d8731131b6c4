"""What a link says and does when the other side is no broker, or one that does not let it work."""

import asyncio
import os
import re
import resource
import socket
import time

import pytest
from structlog.testing import capture_logs

from device_sim import mqtt_link, quarrel, topics
from device_sim.backoff import Backoff
from monitor.metrics import Metrics
from streams.mqtt.embedded import EmbeddedMqtt
from streams.ports import free_ports
from tests.device_sim.linked import a_link, given_up, publish, said, up
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
from wire.pace import Pace, encode_pace

pytestmark = pytest.mark.usefixtures("impatient")

SUBACK = bytes([0x90, 6, 0, 1, 0, 1, 1, 1])


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def failures(metrics: Metrics, client: str, reason: str) -> float:
    return metrics.value(Metrics.mqtt_failures, client=client, reason=reason)


@pytest.mark.parametrize(
    ("behaviour", "reason", "text"),
    [
        (silent, "no_connack", "does not answer as an MQTT 5 broker"),
        (dribble, "no_connack", "does not answer as an MQTT 5 broker"),
        (answers(connack()), "no_suback", "does not answer subscriptions"),
        (shut, "shut", "mosquitto: max_connections"),
        (half_shut, "shut", "closed the connection without an answer"),
        (answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "garbled", "no MQTT 5"),
        (answers(b"\x20\x05\x00\x00\x02\xff\xff"), "garbled", "no MQTT 5"),
        (answers(connack(137)), "busy", "it is busy"),
        (answers(connack(136)), "unavailable", "not available"),
        (answers(connack(151)), "quota", "quota"),
        (answers(connack(), b"\xff" * 9), "garbled", "no MQTT 5"),
    ],
)
async def test_what_may_pass_is_said_counted_and_tried_again(
    metrics: Metrics, behaviour: Behaviour, reason: str, text: str
) -> None:
    with Partner(behaviour) as partner, capture_logs() as logs:
        link = a_link(partner.host, partner.port, metrics=metrics)
        line = await said(link, logs, text)
        assert "0 of 0 devices are connected" in line
        while partner.connections < 2:  # it goes on trying
            await asyncio.sleep(0.05)
        await link.close()
    assert failures(metrics, "fleet", reason) > 0


@pytest.mark.parametrize(
    ("behaviour", "reason", "text"),
    [
        (silent, "no_connack", "does not answer as an MQTT 5 broker"),
        (answers(connack()), "no_suback", "does not answer subscriptions"),
        (shut, "shut", "mosquitto: max_connections"),
        (answers(connack(137)), "busy", "it is busy"),
        (answers(connack(135)), "not_authorised", "not authorised"),
        (answers(connack(), SUBACK, goodbye(142), last=True), "taken_over", "under the same name"),
        (answers(connack(), SUBACK, last=True), "quick", "as soon as it was made"),
    ],
)
async def test_every_attempt_of_a_device_ends_is_counted_and_made_again_and_all_are_one_line(
    metrics: Metrics, behaviour: Behaviour, reason: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarrel, "WINDOW_S", 0.0)  # here nobody quarrels
    whole = answers(connack(), bytes([0x90, 7, 0, 1, 0, 1, 1, 1, 1]))
    with Partner(turns_into(whole, behaviour)) as partner, capture_logs() as logs:
        link = a_link(partner.host, partner.port, metrics=metrics)
        for number in range(50):
            link.open(f"u{number}")
        assert " × " in await said(link, logs, text)
        while failures(metrics, "device", reason) < 60:  # more than one each
            await link.wait(0.05)
            link.take()
        await link.close()
    assert sum(text in line["event"] for line in logs) == 1


async def test_who_was_let_in_once_waits_to_be_let_in_again(metrics: Metrics) -> None:
    first = answers(connack(), bytes([0x90, 7, 0, 1, 0, 1, 1, 1, 1]), last=True)
    with Partner(turns_into(first, answers(connack(135)))) as partner, capture_logs() as logs:
        link = a_link(partner.host, partner.port, metrics=metrics)
        while failures(metrics, "fleet", "not_authorised") < 3:
            await link.wait(0.05)
            link.take()
        await link.close()
    assert any("failed, trying again" in line["event"] for line in logs)


async def test_a_network_that_swallows_what_is_sent_is_given_up_and_said() -> None:
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as deaf,
        socket.create_connection(deaf.getsockname()),  # all that it has room for
        capture_logs() as logs,
    ):
        link = a_link(*deaf.getsockname())
        await said(link, logs, "it does not answer")
        await link.close()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (connack(132), "does not speak MQTT 5"),
        (bytes([0x20, 2, 0, 1]), "does not speak MQTT 5"),  # MQTT 3's way to say so
        (connack(135), "not authorised"),
        (connack(134), "user name and password"),
        (connack(138), "banned"),
        (connack(157), "moved to another server"),
        (connack(0, bytes([0x24, 0])), "takes QoS 0 only.*mosquitto: max_qos"),
        (connack(155), "takes QoS 0 only.*mosquitto: max_qos"),
        (connack(0, bytes([0x25, 0])), "keeps no retained messages.*mosquitto: retain_available"),
        (bytes([0x15, 3, 1, 0, 2, 2, 70]), "speaks TLS"),
    ],
)
async def test_what_can_never_work_ends_it_with_one_line(answer: bytes, text: str) -> None:
    with Partner(answers(answer)) as partner:
        link = a_link(partner.host, partner.port)
        line = await given_up(link)
        await link.close()
    assert re.search(text, line) and "\n" not in line and f"{partner.host}:{partner.port}" in line


async def test_nobody_there_is_one_line_however_many_devices() -> None:
    with capture_logs() as logs:
        link = a_link("127.0.0.1", free_ports(1)[0])
        for number in range(300):
            link.open(f"u{number}")
        assert "0 of 300 devices are connected" in await said(link, logs, "connection refused")
        await asyncio.sleep(1.5)
        await link.close()
    assert sum("failed" in line["event"] for line in logs) == 1


async def test_who_is_let_in_and_cut_at_once_waits_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[int] = []

    def no_pause(_: Backoff, failures: int) -> float:
        failed.append(failures)
        return 0.0

    monkeypatch.setattr(Backoff, "pause_s", no_pause)
    with Partner(answers(connack(), SUBACK, last=True)) as partner:
        link = a_link(partner.host, partner.port)
        while len(failed) < 4:
            await asyncio.sleep(0.01)
        await link.close()
    assert failed[:4] == [0, 1, 2, 3]


async def test_thousands_of_devices_come_no_faster_than_the_rate(
    broker: EmbeddedMqtt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_link, "CONNECTS_PER_S", 50.0)
    link = a_link(broker.settings.host, broker.settings.port)
    link.open("first")
    await up(link, 1)
    began_s = asyncio.get_running_loop().time()
    for number in range(60):
        link.open(f"u{number}")
    await up(link, 60)
    assert asyncio.get_running_loop().time() - began_s >= (60 - mqtt_link.BURST) / 50
    await link.close()


async def test_who_would_come_while_all_say_goodbye_does_not_come(broker: EmbeddedMqtt, metrics: Metrics) -> None:
    """A device that said it is there, and no goodbye, would be there for ever."""
    link = a_link(broker.settings.host, broker.settings.port, metrics=metrics)
    link.open("ann")
    ann = link._devices["ann"]
    while not ann._accepted:
        await asyncio.sleep(0)
    ann.say_goodbye()
    await ann._task
    assert [arrival.kind for arrival in link.take()] == [] and not metrics.value(Metrics.devices_connected)
    await link.close()


async def test_a_busy_loop_does_not_keep_devices_from_their_turns(broker: EmbeddedMqtt) -> None:
    link = a_link(broker.settings.host, broker.settings.port)
    link.open("first")
    await up(link, 1)

    async def busy() -> None:
        while True:
            time.sleep(0.03)
            await asyncio.sleep(0)

    work = asyncio.create_task(busy())
    began_s = asyncio.get_running_loop().time()
    for number in range(150):
        link.open(f"u{number}")
    await up(link, 150)
    assert asyncio.get_running_loop().time() - began_s < 150 * 0.03  # more than one each time that the loop is free
    work.cancel()
    await link.close()


async def test_an_unknown_host_is_said() -> None:
    with capture_logs() as logs:
        link = a_link("no-such-host.invalid", 1883)
        await said(link, logs, "no such host")
        await link.close()


async def test_too_many_open_files_are_said_and_waited_for(metrics: Metrics, broker: EmbeddedMqtt) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with capture_logs() as logs:
        link = a_link(broker.settings.host, broker.settings.port, metrics=metrics)
        link.open("first")
        await up(link, 1)
        next_file = os.dup(0)
        os.close(next_file)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (next_file + 1, hard))
            for number in range(10):
                link.open(f"u{number}")
            await asyncio.sleep(1.2)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert "ulimit -n" in await said(link, logs, "connections to the MQTT broker failed")
        while metrics.value(Metrics.devices_connected) < 10:
            await link.wait(0.05)
        await link.close()


async def test_a_broker_that_takes_fewer_at_a_time_gets_fewer(broker: EmbeddedMqtt) -> None:
    one_at_a_time = connack(0, bytes([0x21, 0, 1]))
    with Partner(answers(one_at_a_time, bytes([0x90, 6, 0, 1, 0, 1, 1, 1]))) as partner, capture_logs() as logs:
        link = a_link(partner.host, partner.port)
        await said(link, logs, "fewer messages at a time")
        while partner.connections < 2:
            await link.wait(0.05)
        await link.close()


async def test_a_message_larger_than_the_broker_says_it_takes_is_not_sent_but_counted(metrics: Metrics) -> None:
    at_most_100 = connack(0, bytes([0x27, 0, 0, 0, 100]))
    with Partner(answers(at_most_100, SUBACK)) as partner, capture_logs() as logs:
        link = a_link(partner.host, partner.port, metrics=metrics)
        await said(link, logs, "at most 100 bytes")
        await link.close()
    assert metrics.value(Metrics.mqtt_refused, client="fleet", reason="too_large") > 0


@pytest.mark.parametrize("pace", [encode_pace(Pace(0, 3600, 60)), b"no pace", b""])
async def test_devices_come_back_when_the_cloud_says_and_hear_of_it_once(broker: EmbeddedMqtt, pace: bytes) -> None:
    link = a_link(broker.settings.host, broker.settings.port)
    link.open("ann")
    await up(link, 1)
    with capture_logs() as logs:
        await asyncio.to_thread(lambda: publish(broker, topics.PACE, pace, retain=True))
        await said(link, logs, "the cloud says when to come back")
    broker.kill()
    broker.start()
    back = asyncio.create_task(up(link, 1))
    await asyncio.wait([back], timeout=4)
    assert back.done() is (b"3600" not in pace)
    back.cancel()
    await link.close()
