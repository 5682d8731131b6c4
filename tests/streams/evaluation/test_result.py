"""What an evaluation comes to: figures that are compared with each other are of one kind."""

from pathlib import Path

import polars as pl
import pytest

from streams.evaluation.lineup import ENDINGS
from streams.evaluation.paired import Comparison
from streams.evaluation.prequential import Outcome
from streams.evaluation.result import all_arms, result_of
from tests.streams.evaluation.world import plan, prequential, taste_log


def restless_log() -> pl.DataFrame:
    """Tastes, of users who take anything at some times and next to nothing at others."""
    times = pl.int_range(pl.len()) % 400 < 200
    return taste_log(2400).with_columns(label=pl.when(pl.int_range(pl.len()) % 5 < 3).then(times).otherwise("label"))


def gauc(base: str, outcome: Outcome) -> float:
    coda = "coda" + ENDINGS[base]
    return Comparison(all_arms({base: outcome}), [coda], seed=0).figures()[coda].gauc or 0.0


@pytest.mark.parametrize("base", ["stale", "online"])
def test_what_waiting_costs_is_the_difference_of_the_figures(base: str, tmp_path: Path) -> None:
    """Figures are of what ranks; probabilities also tell when users take anything, and so change with the delay."""
    now, then = (
        prequential(restless_log(), tmp_path / str(delay_ms), base=base, delay_ms=delay_ms)
        for delay_ms in (5_000, 10**6)
    )
    settings = {"refresh": "0s", "delay": "5s"}
    result = result_of("log", 2400, {base: now}, plan=plan(base=base), settings=settings, later={"17m": then})
    assert result.freshness["17m"].gauc == pytest.approx(gauc(base, then) - gauc(base, now), abs=1e-5)
