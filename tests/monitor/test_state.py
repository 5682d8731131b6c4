"""The state of the system, in the words of a report."""

import pytest

from monitor.state import State, events_per_s


def test_events_per_second_between_two_states() -> None:
    assert events_per_s(State(elapsed_s=1, produced=100), State(elapsed_s=3, produced=500)) == pytest.approx(200)
    assert events_per_s(State(), State()) == 0
