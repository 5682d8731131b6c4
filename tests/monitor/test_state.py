"""The state of the system, read from what its processes show."""

import pytest

from monitor.scrape import Snapshot, parse
from monitor.state import State, events_per_s, read_state
from tests.monitor.exposition import Process


def test_every_number_of_the_live_view_is_read_from_its_metric() -> None:
    process = Process()
    process.count("coda_events_produced", 10)
    process.count("coda_samples_pooled", 8)
    process.count("coda_events_rejected", 2, reason="late")
    process.count("coda_push_outcomes", 4, outcome="acknowledged")
    process.show("coda_lag_events", 3, group="coda-flow", topic="events", partition="0")
    process.show("coda_lag_events", 4, group="coda-flow", topic="events", partition="1")
    process.show("coda_lag_seconds", 1.5, group="coda-flow", topic="events", partition="0")
    process.show("coda_lag_seconds", 0.5, group="coda-flow", topic="events", partition="1")
    process.show("coda_arm_auc", 0.7, arm="coda")
    state = read_state(parse(process.text()), Snapshot(), 12.0, "live stream")
    assert (state.produced, state.pooled, state.rejected) == (10, 8, {"late": 2})
    assert state.push_outcomes == {"acknowledged": 4}
    assert state.lag_events == {"coda-flow": 7}
    assert state.lag_seconds == {"coda-flow": 1.5}
    assert state.arm_auc == {"coda": 0.7}
    assert (state.elapsed_s, state.phase) == (12.0, "live stream")


def test_freshness_is_of_what_happened_since_the_earlier_snapshot_in_the_order_of_the_stages() -> None:
    process = Process()
    process.age("trained", 0.9)
    process.age("pooled", *[0.9] * 100)
    earlier = parse(process.text())
    process.age("pooled", *[0.05] * 10)
    process.age("trained", 0.3)
    freshness = read_state(parse(process.text()), earlier, 0, "").freshness
    assert list(freshness) == ["pooled", "trained"]
    assert freshness["pooled"].count == 10
    assert freshness["pooled"].p99_s <= 0.1


def test_events_per_second_between_two_states() -> None:
    assert events_per_s(State(elapsed_s=1, produced=100), State(elapsed_s=3, produced=500)) == pytest.approx(200)
    assert events_per_s(State(), State()) == 0
