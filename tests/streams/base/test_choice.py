"""What is odd about a log's own bases."""

from collections.abc import Sequence

import polars as pl
import pytest

from streams.base.choice import odd_base


@pytest.mark.parametrize(
    ("base", "says"),
    [
        ([0.1, 0.2, 0.2, 0.1], []),
        ([None, None, None, None], []),
        ([0.1, None, 0.2, 0.1], ["25.0% of events have no base"]),
        ([-1.0, 1.0, -1.0, 1.0], ["the base alone has AUC 1.000"]),
    ],
)
def test_bases_that_are_missing_or_know_what_was_taken_are_warned_of(
    base: Sequence[float | None], says: list[str]
) -> None:
    log = pl.DataFrame({"label": [0, 1] * 50, "base": pl.Series([*base] * 25, dtype=pl.Float64)})
    found = odd_base(log)
    assert len(found) == len(says) and all(line.startswith(start) for line, start in zip(found, says, strict=True))
