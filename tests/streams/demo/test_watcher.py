"""What the watcher makes of processes that are started anew."""

import io
from typing import Any, cast

import pytest

from monitor.live import LiveView
from monitor.scrape import Snapshot, series
from streams.demo import watcher
from streams.demo.watcher import Watcher


def shown(born_s: float, pooled: int, connected: int) -> Snapshot:
    return Snapshot(
        {
            series("process_start_time_seconds"): born_s,
            series("coda_samples_pooled_total"): pooled,
            series("coda_devices_connected"): connected,
        }
    )


class Unseen:
    def update(self, *_: Any) -> None:
        pass


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[Snapshot]:
    script: list[Snapshot] = []
    monkeypatch.setattr(watcher, "scrape", lambda *_: script.pop(0))
    return script


@pytest.fixture
def watching() -> Watcher:
    return Watcher(urls={"flow": "x"}, timeline=io.BytesIO(), view=cast(LiveView, Unseen()))


def test_a_process_that_was_killed_counts_on_from_where_it_was(scripted: list[Snapshot], watching: Watcher) -> None:
    scripted += [shown(1, 10, 5), shown(1, 30, 5), shown(2, 0, 0), shown(2, 7, 4), shown(3, 1, 4)]
    states = [watching.look("live") for _ in range(5)]
    assert [s.pooled for s in states] == [10, 30, 30, 37, 38]
    assert [s.devices_connected for s in states] == [5, 5, 0, 4, 4], "what is so now is not added up"


def test_a_process_that_was_started_anew_is_behind_until_it_says_otherwise(
    scripted: list[Snapshot], watching: Watcher
) -> None:
    lag = series("coda_lag_events", group="coda-flow", topic="events", partition="0")
    scripted += [Snapshot({lag: 300}), shown(2, 0, 0), Snapshot({lag: 0})]
    assert [watching.look("live").lag_events for _ in range(3)] == [{"coda-flow": 300}] * 2 + [{"coda-flow": 0}]
