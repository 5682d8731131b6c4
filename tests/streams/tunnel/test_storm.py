"""When a tunnel tells devices to spread out."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from device_sim import topics
from monitor.metrics import Metrics
from streams.mqtt.client import MqttClient
from streams.tunnel import storm as module
from streams.tunnel.storm import AGAIN_S, CALM_PER_S, MOST_SEEN, STORM, Storm
from tests.streams.mqtt.brokers import Embedded
from tests.streams.tunnel.world import World, wait_for
from wire.pace import MOST_S, Pace, decode_pace
from wire.telemetry import Presence, encode_report


def paces(storm: Storm, devices: int, over_s: float, began_s: float = 0.0) -> list[Pace]:
    """What it says while so many devices come online."""
    said = (storm.came(f"u{n}", began_s + over_s * n / devices) for n in range(devices))
    return [pace for pace in said if pace is not None]


def test_devices_that_come_back_at_once_are_spread_the_next_time() -> None:
    (pace,) = paces(Storm(), 2 * STORM, over_s=1.0)
    assert pace.spread_s == STORM / CALM_PER_S


def test_devices_that_keep_the_rate_are_left_alone() -> None:
    assert paces(Storm(), 5000, over_s=5000 / CALM_PER_S) == []


def test_a_storm_that_goes_on_is_answered_again_for_all_devices_that_were_seen() -> None:
    storm = Storm()
    paces(storm, 3000, over_s=1.0)
    (pace,) = paces(storm, 3000, over_s=1.0, began_s=AGAIN_S + 1)
    assert pace.spread_s == 3000 / CALM_PER_S


def test_no_more_devices_are_remembered_than_an_hour_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SEEN", 1000)
    storm = Storm()
    paces(storm, 3000, over_s=1.0)
    assert len(storm._seen) == 1000
    assert MOST_SEEN / CALM_PER_S <= MOST_S  # what it says can be read


def test_a_tunnel_that_sees_a_storm_leaves_a_pace_for_every_device(tmp_path: Path) -> None:
    with ExitStack() as stack:
        world = World(stack, stack.enter_context(Embedded(tmp_path)))
        crowd, late = world.device("crowd"), MqttClient(world.broker.settings, Metrics(), "late", [topics.PACE])
        stack.callback(late.close)
        with world.tunnel(drain_s=1.0) as tunnel:
            for n in range(STORM):
                crowd.publish(topics.presence(f"u{n}"), encode_report(Presence(f"u{n}", online=True)))
            wait_for(lambda: crowd.read() or not crowd.client.unconfirmed, "all presences", 30)
            late.open()
            (said,) = late.received(10, timeout_s=20.0)
            assert tunnel.summary()["dead_letters"] == {}
        assert decode_pace(said.payload).spread_s == STORM / CALM_PER_S
