"""What the storm's verdict is made of."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import storm
from benchmarks.storm import Embedded, peak_per_s, storms


@given(st.lists(st.integers(0, 300), min_size=1, max_size=60))
def test_the_peak_is_the_fullest_second(tenths: list[int]) -> None:
    least, most = (max(sum(0 <= each - first < width for each in tenths) for first in tenths) for width in (10, 11))
    assert least <= peak_per_s([each / 10 for each in tenths]) <= most


def test_a_small_storm_is_over_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storm, "CALM_S", 0.0)
    with Embedded() as broker:
        cut, restart = asyncio.run(storms("embedded", broker, devices=20, nbytes=100))
    assert (cut.kind, restart.kind) == ("cut", "restart")
    assert max(cut.served_last_s, restart.served_last_s) < 15
