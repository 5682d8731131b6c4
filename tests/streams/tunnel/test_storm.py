"""When a tunnel tells devices to spread out."""

import pytest

from streams.tunnel import storm as module
from streams.tunnel.storm import AGAIN_S, CALM_PER_S, MOST_SEEN, STORM, Storm
from wire.pace import MOST_S, Pace


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
