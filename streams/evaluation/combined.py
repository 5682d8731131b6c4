"""Several evaluations as one: a log with several seeds, every user of every run counting as one of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from streams.evaluation.result import Compared, arms_in, halves_of, items_of, part_of, parts_of
from wire.errors import InputError


@dataclass(frozen=True)
class Run:
    """One evaluation: what it was of, and its predictions."""

    log: str
    seed: int
    settings: Mapping[str, Any]
    predictions: pl.DataFrame


class Combined(Compared, frozen=True, kw_only=True):
    """The document of several evaluations."""

    seeds: list[int]


def combined(runs: Sequence[Run]) -> Combined:
    """The figures of all `runs` (at least one) together; raises `InputError` for runs that are not of one kind."""
    first, *others = runs
    arms = arms_in(first.predictions)
    for other in others:
        if (other.log, other.settings, arms_in(other.predictions)) != (first.log, first.settings, arms):
            raise InputError(
                f"the runs with seeds {first.seed} and {other.seed} have another log, other settings or other arms"
            )
    seeds = [run.seed for run in runs]
    if len(set(seeds)) < len(seeds):
        raise InputError(f"two runs have one seed (seeds: {', '.join(map(str, seeds))}): they are the same evaluation")
    tables = [
        run.predictions.with_columns(user_id=pl.format("{}, seed {}", "user_id", pl.lit(run.seed))) for run in runs
    ]
    whole = part_of(tables, arms, seed=0)
    return Combined(
        log=first.log,
        seeds=seeds,
        devices=sum(table["user_id"].n_unique() for table in tables),
        predicted=whole.events,
        arms=whole.arms,
        paired=whole.paired,
        halves=parts_of(halves_of, tables, arms, seed=0),
        items=parts_of(items_of, tables, arms, seed=0),
    )
