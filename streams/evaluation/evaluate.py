"""An evaluation of a log from its first row to its last: what `coda evaluate` runs.

The initial part is read twice: rivals first say what they expected of it, for personal models may add to that.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from math import isnan

import msgspec
import numpy as np
import polars as pl
from xxhash import xxh3_64_intdigest

from index.pool import Pool
from streams.evaluation.lineup import LOGGED, RIVAL_BASES
from streams.evaluation.log import compared, has_sampled, repeats
from streams.evaluation.prequential import INITIAL_ROWS, Outcome, Plan, PrequentialRun
from streams.evaluation.rivals import Rivals
from streams.evaluation.slices import slices
from streams.work_view import Show
from wire.arrays import F64
from wire.errors import InputError
from wire.event import MOST_LOG_ODDS, Event

# Rows of the log per slice. At 1,000 events/s they are a quarter of a second, as fresh as the live path is.
SLICE_ROWS = 256


def evaluate(log: pl.DataFrame, pool: Pool, plan: Plan, progress: Show) -> Outcome:
    """Run `plan` over `log` (sorted; columns of `streams.logs.event_log`); `pool` is empty."""
    if plan.base != LOGGED:
        log = log.with_columns(base=pl.lit(None, pl.Float64))
    first = _first_of_tail(log, plan.initial_share)
    run = PrequentialRun(pool, plan, chosen_users(log[first:], plan))
    base = plan.base if plan.base in RIVAL_BASES else ""
    rivals = Rivals(delay_ms=plan.delay_ms, impressions=not has_sampled(log), seed=plan.seed, base=base)
    initial = _told("reading the initial part of the log", first, slices(log[:first], INITIAL_ROWS), progress)
    for part in initial:
        rivals.rehearse(part)
    expected, records = rivals.begin(), []
    if base in rivals.untrained:
        raise InputError(f"the initial part has too little of one label to train {base}: take --base stale or online")
    for part in slices(log[:first], INITIAL_ROWS):
        records += run.remember(with_bases(part, expected[: len(part)]))
        expected = expected[len(part) :]
    run.learn_initial(records, partial(progress, "training the first global model"))
    del records
    tail = slices(log[first:], SLICE_ROWS, plan.delay_ms, run.users)
    for part in _told("predicting each event, then learning from it", len(log) - first, tail, progress):
        rivals.meet(part, run.step(with_bases(part, rivals.see(part))))
    outcome = run.outcome()
    facts = repeats(log).join(compared(log), on="event_id").join(rivals.table(), on="event_id")
    predictions = outcome.predictions.join(facts, on="event_id", maintain_order="left")
    return replace(outcome, predictions=predictions, untrained=rivals.untrained)


def _told(what: str, rows: int, slices: Iterator[list[Event]], progress: Show) -> Iterator[list[Event]]:
    """The slices; once what comes of each is done, `progress` hears of it."""
    done = 0
    for part in slices:
        yield part
        done += len(part)
        progress(what, done, rows)


def chosen_users(tail: pl.DataFrame, plan: Plan) -> frozenset[str]:
    """The users that get a device: `plan.devices` of those with events in `tail`, by a hash that knows the seed."""
    users = tail["user_id"].unique().to_list()
    users.sort(key=lambda user: (xxh3_64_intdigest(user.encode(), seed=plan.seed), user))
    return frozenset(users[: plan.devices or None])


def _first_of_tail(log: pl.DataFrame, initial_share: float) -> int:
    """The first row after the initial part; rows of one moment stay together."""
    times = log["timestamp"].to_numpy()
    first = int(np.searchsorted(times, times[int(len(times) * initial_share)], "left"))
    if first == 0:
        raise InputError(
            "the log's initial part is empty: all its events have one timestamp, or --initial-share is too small"
        )
    return first


def with_bases(events: list[Event], log_odds: F64) -> list[Event]:
    """The events with these bases (n,), but for those where they are nan."""
    said = np.clip(log_odds, -MOST_LOG_ODDS, MOST_LOG_ODDS).tolist()
    return [
        event if isnan(base) else msgspec.structs.replace(event, base=base)
        for event, base in zip(events, said, strict=True)
    ]
