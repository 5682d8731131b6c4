"""Every planted bug is caught: else the simulator tests less than it seems to."""

import pytest

from tests.streams.simulation.planted import PLANTED, hunt


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_caught(name: str) -> None:
    assert hunt(PLANTED[name]) is not None
