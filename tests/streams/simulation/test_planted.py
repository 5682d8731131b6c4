"""Every planted bug is caught: else the simulator tests less than it seems to."""

import pytest

from tests.streams.simulation.planted import PLANTED, SEEDS, hunt


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_caught(name: str) -> None:
    plant, known = PLANTED[name]
    assert hunt(plant, (known, *SEEDS)) is not None
