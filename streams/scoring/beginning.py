"""What a scorer begins with: the initial part of a log, which its model learns from before it says anything."""

from pathlib import Path

import numpy as np
import structlog

from models.streamed.boosted import trainable
from streams.base.choice import choose
from streams.base.context import NO_OPTIONS, ContextOptions, telling
from streams.base.names import BOOSTED, MODELS
from streams.base.newest import MOST
from streams.base.scored import begun
from streams.base.training import Hand, at_once
from streams.logs.event_log import NO_POSITIVES, load_log, only_positives
from streams.logs.negatives import has_sampled
from streams.logs.options import LogOptions
from streams.logs.slices import first_of_tail
from streams.scoring.scorer import Made, Scorer
from streams.work_view import Show
from wire.errors import InputError

_log = structlog.get_logger()


def begin(
    path: Path,
    share: float,
    options: LogOptions,
    *,
    base: str | None,
    delay_ms: int,
    context: ContextOptions = NO_OPTIONS,
    seed: int,
    show: Show,
    hand: Hand = at_once,
) -> Scorer:
    """A scorer that has learned from the first `share` of a log, in event-time order, by the model `base`: None is the
    first that there is enough for. As the stream goes it trains by `hand`. Raises `InputError` for a log that can't be
    used."""
    log = load_log(path, options)
    if not (log["label"] == 1).any():
        raise InputError(f"{path}: {NO_POSITIVES}")
    if (log["label"] == 1).all():
        raise InputError(f"{path}: {only_positives(options.said(path))}")
    first = first_of_tail(log, share) if share < 1 else len(log)
    initial = log[:first]
    label = initial["label"].tail(MOST).to_numpy().astype(np.uint8)
    made = Made(
        base=choose(base, MODELS, {BOOSTED: trainable(label)}),
        delay_ms=delay_ms,
        impressions=not has_sampled(log),
        context=context.names(log),
        seed=seed,
        initial_until_ms=int(initial["timestamp"][-1]),
    )
    for line in telling(log, made.context):
        _log.warning(line, path=str(path))
    scorer = Scorer(made, hand)
    begun(scorer.service, initial, context=bool(made.context.all), telling=False, show=show)
    return scorer
