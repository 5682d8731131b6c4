"""Who has the name of a fleet: the processes of one, or the later of two."""

import asyncio

import pytest

from device_sim import mqtt_link, quarrel, topics
from device_sim.mqtt_link import MqttLink
from device_sim.one_of import all_of
from monitor.metrics import Metrics
from streams.mqtt.embedded import EmbeddedMqtt
from tests.device_sim.linked import a_link, given_up, publish, up
from wire.claim import Claim

pytestmark = pytest.mark.usefixtures("impatient")


async def test_processes_of_a_fleet_share_its_name_and_its_rate(
    broker: EmbeddedMqtt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_link, "CONNECTS_PER_S", 50.0)
    address, claim = (broker.settings.host, broker.settings.port), Claim("coda-fleet", "b1", 1)
    links = [MqttLink(*address, 1, claim, metrics=Metrics(), one_of=one) for one in all_of(2)]
    for number, link in enumerate(links):
        link.open(f"first-{number}")
        await up(link, 1)
    began_s = asyncio.get_running_loop().time()
    for number in range(60):
        links[number % 2].open(f"u{number}")
    for link in links:
        await up(link, 30)
    assert asyncio.get_running_loop().time() - began_s >= (60 - mqtt_link.BURST) / 50
    later = a_link(*address, boot="b2", started_ms=2)
    assert "was there first" in await given_up(later)
    for link in (*links, later):
        await link.close()


async def test_of_two_fleets_of_one_name_the_later_one_ends(broker: EmbeddedMqtt) -> None:
    address = broker.settings.host, broker.settings.port
    old = a_link(*address, "old", 1)
    for user in ("ann", "bob"):
        old.open(user)
    await up(old, 2)
    new = a_link(*address, "new", 2)
    for user in ("ann", "bob"):
        new.open(user)
    assert "another fleet named coda-fleet is connected" in await given_up(new)
    await new.close()
    await old.wait(0.5)
    assert not old.take()  # its devices never noticed
    await old.close()


async def test_two_fleets_that_cannot_hear_each_other_do_not_quarrel_for_ever(
    broker: EmbeddedMqtt, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = iter(("coda/fleets/one", "coda/fleets/other"))
    monkeypatch.setattr(topics, "claims", lambda *_: next(hidden))  # as where nobody may read what the other says
    address = broker.settings.host, broker.settings.port
    monkeypatch.setattr(quarrel, "WINDOW_S", 10.0)
    old = a_link(*address, "old", 1)
    for user in ("ann", "bob"):
        old.open(user)
    await up(old, 2)
    old._quarrel._started_s -= 20  # it was there long before
    new = a_link(*address, "new", 2)
    for user in ("ann", "bob"):
        new.open(user)
    assert "another fleet under the same name" in await given_up(new)
    await new.close()
    await up(old, 1)  # and the devices are the other one's again
    await old.close()


@pytest.mark.parametrize(
    "claim", [b"", b"{", b"[1]", b'{"type":"claim","name":"x","boot":"b","started_ms":-1}', b"x" * 9999]
)
async def test_nobody_ends_for_a_claim_that_is_none(broker: EmbeddedMqtt, claim: bytes) -> None:
    link = a_link(broker.settings.host, broker.settings.port)
    link.open("ann")
    await up(link, 1)
    await asyncio.to_thread(publish, broker, topics.claims("fleet", "coda-fleet"), claim)
    await link.wait(0.3)
    assert not link.take()
    await link.close()
