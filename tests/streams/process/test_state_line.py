"""One line that tells a person how it goes, the most important first."""

import pytest

from streams.process.state_line import state_line, summary_line
from streams.watch.fold import Fold
from tests.streams.watch.statuses import frontier, status
from wire.status import Role

VALUES = {
    Role.FLOW: {
        "coda_samples_pooled_total": {"": 1234.0},
        "coda_events_rejected_total": {"reason=late": 2.0, "reason=duplicate": 5.0},
        "coda_model_version": {"": 3.0},
    },
    Role.FLEET: {
        "coda_device_outcomes_total": {
            "what=unpredicted,outcome=known_to_cloud_model": 900.0,
            "what=events,outcome=duplicate": 4.0,
        },
    },
}


def lines(role: Role) -> tuple[str, str]:
    fold = Fold()
    for second in range(1, 11):
        values = {
            name: {label: n * second / 10 for label, n in series.items()} for name, series in VALUES[role].items()
        }
        if role is Role.FLOW:
            values["coda_model_version"] = {"": 3.0}
        fold.take(status(role, at_s=second, values=values, frontiers=(frontier("x", second, second, second),)), second)
    picture = fold.picture(10)
    return state_line(role, picture), summary_line(role, picture)


def test_how_far_it_is_comes_first_then_what_it_did_by_how_much_and_how_fast() -> None:
    state, summary = lines(Role.FLOW)
    assert state.startswith("x FRESH, as of ")
    assert "cloud model v3 · 1,234 pooled (123/s) · 7 rejected (0.7/s) (5 duplicate, 2 late)" in state
    assert summary == "ended: 1,234 pooled, 7 rejected (5 duplicate, 2 late)"


def test_a_fleet_that_is_fed_what_its_model_knows_says_so() -> None:
    state, _ = lines(Role.FLEET)
    assert "waiting for the first cloud model" in state
    assert "900 events learned from alone (900 known to cloud model)" in state


@pytest.mark.parametrize("role", list(Role))
def test_whoever_did_nothing_has_nothing_to_sum_up(role: Role) -> None:
    fold = Fold()
    fold.take(status(role, at_s=1), 1000)
    assert summary_line(role, fold.picture(1000)) == ""
