"""Every planted bug is caught by its invariant, and every invariant has one: else it might be unable to fail."""

from pathlib import Path

import pytest

from streams.simulation.run import INVARIANTS
from tests.streams.simulation.planted import PLANTED, SEEDS, hunt

DOCS = Path(__file__).parents[3] / "docs" / "simulation.md"


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_caught_by_its_invariant(name: str) -> None:
    plant, by, known = PLANTED[name]
    assert hunt(plant, by, (known, *SEEDS)) is not None


def test_every_invariant_has_a_planted_bug() -> None:
    assert {invariant.name for invariant in INVARIANTS} <= {by for _, by, _ in PLANTED.values()}


def test_the_table_in_docs_has_every_planted_bug() -> None:
    told = DOCS.read_text()
    assert all(f"| {name} | {by} |\n" in told for name, (_, by, _) in PLANTED.items())
