"""mosquitto with the credentials and the access list of `coda devices enrol`: who gets in, and who may do what."""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from device_sim import topics
from device_sim.mqtt_credentials import FLEET, TUNNEL, Keyring, device
from device_sim.mqtt_link import MqttLink
from monitor.metrics import Metrics
from streams.canary.device import CanaryDevice
from streams.cli import run
from streams.enrolment.enrolment import Enrolment
from streams.kafka.admin import ensure_topics
from streams.kafka.bounds import bounds, read_between
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.producer import CheckedProducer
from streams.kafka.topics import CANDIDATES, REQUESTS, TELEMETRY
from streams.mqtt.client import MqttClient
from streams.mqtt.connection import MqttSettings, probe
from streams.mqtt.paho_broker import PahoBroker
from tests.integration.stack import Server, wait_until
from tests.streams.tunnel.world import batch, live_tunnel
from tests.wire.reports import ack
from wire.batch import decode_batch
from wire.canary import canary_id
from wire.claim import Claim
from wire.clock import SystemClock
from wire.errors import ConnectionFailed
from wire.push_headers import PushHeaders
from wire.telemetry import Ack, MatchRequest, decode_report, encode_report

pytestmark = [pytest.mark.servers]
USERS, CANARY = ("ann", "bob/b"), canary_id("canary")
HEARD_S = 1.0  # what does not arrive within this was not delivered: here messages take milliseconds


class Enrolled:
    """A broker that lets in whom it knows, `by` certificate or by password."""

    def __init__(self, folder: Path, by: str) -> None:
        self.folder, self.by = folder / "credentials", by
        Enrolment(self.folder, datetime.now(UTC), hosts=["127.0.0.1"], days=2).add([*USERS, CANARY])
        if by == "password":
            for path in (*self.folder.glob("devices/*.crt"), self.folder / "tunnel.crt", self.folder / "fleet.crt"):
                path.unlink()
        self.server = Server("mqtt", folder, "--credentials", str(self.folder), "--by", by)
        self.server.up()

    def settings(self, name: str, folder: Path | None = None, scheme: str = "mqtts") -> MqttSettings:
        return MqttSettings.parse(f"{scheme}://{self.server.address}", name, folder or self.folder)

    def client(self, name: str, *subscriptions: str) -> MqttClient:
        client = MqttClient(self.settings(name), Metrics(), name, subscriptions)
        client.open()
        wait_until(lambda: client.connected, f"{name} to be connected", 10, 0.01)
        return client


@pytest.fixture(params=["certificate", "password"])
def broker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Enrolled]:
    enrolled = Enrolled(tmp_path, request.param)
    yield enrolled
    enrolled.server.down()


def heard(client: MqttClient) -> set[tuple[str, bytes]]:
    """What came within `HEARD_S`."""
    end_s, found = time.monotonic() + HEARD_S, set()
    while time.monotonic() < end_s:
        messages = client.received(100, 0.05)
        client.acknowledge(messages)
        client.taken()
        found |= {(m.topic, m.payload) for m in messages}
    return found


def test_a_device_writes_and_reads_its_own_topics_only(broker: Enrolled) -> None:
    ann, bob = device(USERS[0]), device(USERS[1])
    stolen = broker.client(
        ann, "#", "coda/devices/+/candidates", topics.candidates(USERS[1]), topics.MODEL, topics.PACE
    )
    tunnel = broker.client(TUNNEL, *topics.UP)
    for user in USERS:
        for up in (topics.events, topics.ack, topics.requests, topics.telemetry, topics.presence):
            stolen.publish(up(user), b"from ann")
        tunnel.publish(topics.candidates(user), b"batch", retain=True)
        tunnel.publish(topics.receipts(user), b"receipt")
    for topic in (
        topics.MODEL,
        topics.TASK,
        topics.PACE,
        topics.candidates(USERS[0]),
        topics.claims("tunnel", "tunnel"),
    ):
        stolen.publish(topic, b"forged", retain=True)
    tunnel.publish(topics.MODEL, b"model", retain=True)
    tunnel.publish(topics.PACE, b"pace", retain=True)
    passed, down = heard(tunnel), heard(stolen)
    assert {topic for topic, _ in passed} == {f"coda/devices/{ann}/{leaf.rpartition('/')[2]}" for leaf in topics.UP}
    assert down == {
        (topics.candidates(USERS[0]), b"batch"),
        (topics.receipts(USERS[0]), b"receipt"),
        (topics.MODEL, b"model"),
        (topics.PACE, b"pace"),
    }
    late = broker.client(bob, topics.candidates(USERS[1]), topics.MODEL)
    assert heard(late) == {(topics.candidates(USERS[1]), b"batch"), (topics.MODEL, b"model")}
    for client in (stolen, tunnel, late):
        client.close()


def refusal(broker: Enrolled, **changes: object) -> str:
    with pytest.raises(ConnectionFailed) as refused:
        probe(broker.settings(**changes))  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_who_is_not_known_does_not_get_in_and_is_told_why(broker: Enrolled, tmp_path: Path) -> None:
    Enrolment(tmp_path / "other", datetime.now(UTC), hosts=["127.0.0.1"], days=2).add(USERS)
    assert "does not verify" in refusal(broker, name=TUNNEL, folder=tmp_path / "other")
    (tmp_path / "other" / "ca.crt").write_bytes((broker.folder / "ca.crt").read_bytes())  # the broker is the right one
    why = {"certificate": "our certificate", "password": "not authorised"}[broker.by]
    assert why in refusal(broker, name=TUNNEL, folder=tmp_path / "other")
    assert "no credentials of cy" in refusal(broker, name="cy")
    if broker.by == "password":  # without TLS there is no use for a certificate
        assert "TLS" in refusal(broker, name=TUNNEL, scheme="mqtt")
    (tmp_path / "other" / "tunnel.crt").write_text("nonsense")
    assert "tunnel.crt" in refusal(broker, name=TUNNEL, folder=tmp_path / "other")
    with pytest.raises(ConnectionFailed, match="not verify"):
        probe(MqttSettings("localhost", broker.server.port, TUNNEL, Keyring(broker.folder, tls=True)))


def test_a_device_that_was_removed_does_not_get_in_again(broker: Enrolled, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(broker.folder, kept)
    probe(broker.settings("ann", kept))
    command = ["devices", "remove", "ann", "--folder", str(broker.folder)]
    assert run(command) == 0
    broker.server.down()
    broker.server.up()
    assert refusal(broker, name="ann", folder=kept)
    probe(broker.settings(device("bob/b"), kept))


async def until(holds: Callable[[], object], what: str) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.05)
    assert holds(), what


async def test_tunnel_and_fleet_work_with_credentials_of_their_own(broker: Enrolled) -> None:
    with EmbeddedKafka() as kafka:
        settings = KafkaSettings(kafka.bootstrap)
        ensure_topics(settings)
        with live_tunnel(settings, broker.settings(TUNNEL), drain_s=0.2):
            producer = CheckedProducer(settings)
            for user in USERS:
                raw = batch(user, 1)
                producer.send(CANDIDATES, user, raw, headers=PushHeaders.of(decode_batch(raw)).encode())
            producer.flush()
            fleet = broker.settings(FLEET)
            link = MqttLink(
                fleet.host, fleet.port, 1, Claim("coda-fleet", "b", 1), metrics=Metrics(), keyring=fleet.keyring
            )
            came: dict[str, bytes] = {}

            def all_came() -> bool:
                came.update({a.user_id: a.payload for a in link.take() if a.kind == "candidates"})
                return len(came) == len(USERS)

            for user in (*USERS, "cy"):  # who has no credentials keeps nobody else from coming in
                link.open(user)
            await until(all_came, "a batch for each device")
            for user, raw in came.items():
                assert decode_batch(raw).user_id == user
                link.publish(user, "ack", encode_report(ack(user, 1, "accepted")))

            def acknowledged() -> set[bytes]:
                found = read_between(settings, "test", bounds(settings, TELEMETRY))
                return {m.key for m in found if b"accepted" in m.value}

            await until(lambda: len(acknowledged()) == len(USERS), "an answer of each device")
            await link.close()


def test_a_canary_goes_and_comes_back_with_credentials_of_its_own(broker: Enrolled) -> None:
    with EmbeddedKafka() as kafka:
        settings = KafkaSettings(kafka.bootstrap)
        ensure_topics(settings)
        metrics = Metrics()
        canary = CanaryDevice(CANARY, PahoBroker(broker.settings(device(CANARY)), metrics), SystemClock(), "b", metrics)
        with live_tunnel(settings, broker.settings(TUNNEL), drain_s=0.2):
            canary.open()
            producer = CheckedProducer(settings)

            def is_back() -> bool:
                """In the dataflow's place, answer what came up."""
                canary.step()
                for message in read_between(settings, "test", bounds(settings, REQUESTS)):
                    asked = decode_report(message.value)
                    assert isinstance(asked, MatchRequest) and asked.user_id == CANARY
                    raw = batch(CANARY, asked.newest_seq + 1)
                    producer.send(CANDIDATES, CANARY, raw, headers=PushHeaders.of(decode_batch(raw)).encode())
                producer.flush()
                return canary.flights.arrived > 0

            def is_answered() -> bool:
                canary.step()
                came = read_between(settings, "test", bounds(settings, TELEMETRY))
                return any(isinstance(decode_report(each.value), Ack) for each in came)

            wait_until(is_back, "a canary to come back", 30, 0.5)
            wait_until(is_answered, "its answer", 30, 0.1)
            canary.close()
