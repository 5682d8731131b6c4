"""An evaluation of a log from its first row to its last: what `coda evaluate` runs.

The initial part is read twice: the service first says what it expected of it, for personal models may add to that.
"""

from dataclasses import replace
from functools import partial
from math import isnan

import msgspec
import polars as pl
from xxhash import xxh3_64_intdigest

from index.pool import Pool
from streams.base.names import LOGGED, MODELS
from streams.base.scored import begun
from streams.base.service import Service, columns_of
from streams.evaluation.lineup import RIVALS
from streams.evaluation.log import compared, repeats
from streams.evaluation.prequential import Outcome, Plan, PrequentialRun
from streams.evaluation.rivals import Rivals
from streams.logs.negatives import has_sampled
from streams.logs.slices import INITIAL_ROWS, SLICE_ROWS, first_of_tail, slices
from streams.work_view import Show, shown
from wire.arrays import F64
from wire.event import Event


def evaluate(log: pl.DataFrame, pool: Pool, plan: Plan, progress: Show) -> Outcome:
    """Run `plan` over `log` (sorted; columns of `streams.logs.event_log`); `pool` is empty."""
    if plan.base != LOGGED:
        log = log.with_columns(base=pl.lit(None, pl.Float64))
    first = first_of_tail(log, plan.initial_share)
    run = PrequentialRun(pool, plan, chosen_users(log[first:], plan))
    base = plan.base if plan.base in MODELS else ""
    impressions = not has_sampled(log)
    service = Service(
        RIVALS, base=base, delay_ms=plan.delay_ms, impressions=impressions, context=plan.context, seed=plan.seed
    )
    rivals = Rivals(service)
    context = bool(plan.context.all)
    expected = begun(service, log[:first], context=context, telling=True, show=progress)
    records = []
    for part in slices(log[:first], INITIAL_ROWS):
        records += run.remember(with_bases(part, expected[: len(part)]))
        expected = expected[len(part) :]
    run.learn_initial(records, partial(progress, "training the first global model"))
    del records
    tail = slices(log[first:], SLICE_ROWS, plan.delay_ms, run.users, context=context)
    for part in shown("predicting each event, then learning from it", len(log) - first, tail, progress):
        rivals.meet(part, run.step(with_bases(part, service.see(*columns_of(part)))))
    outcome = run.outcome()
    facts = repeats(log).join(compared(log), on="event_id").join(rivals.table(), on="event_id")
    predictions = outcome.predictions.join(facts, on="event_id", maintain_order="left")
    return replace(outcome, predictions=predictions, untrained=service.untrained)


def chosen_users(tail: pl.DataFrame, plan: Plan) -> frozenset[str]:
    """The users that get a device: `plan.devices` of those with events in `tail`, by a hash that knows the seed."""
    users = tail["user_id"].unique().to_list()
    users.sort(key=lambda user: (xxh3_64_intdigest(user.encode(), seed=plan.seed), user))
    return frozenset(users[: plan.devices or None])


def with_bases(events: list[Event], log_odds: F64) -> list[Event]:
    """The events with these bases (n,), but for those where they are nan."""
    return [
        event if isnan(base) else msgspec.structs.replace(event, base=base)
        for event, base in zip(events, log_odds.tolist(), strict=True)
    ]
