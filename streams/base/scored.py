"""A log scored: beside each event what a global model expected of it, as a service's own model would have said it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import lightgbm
import numpy as np
import polars as pl
from xxhash import xxh3_64_hexdigest

import models.streamed
from models.streamed.context import NO_CONTEXT, ContextNames
from streams.base.choice import choose, possible
from streams.base.names import BOOSTED, LOGGED, MODELS, ONLINE, STALE
from streams.base.service import Service, columns_of
from streams.logs.data import as_log, data_folder, digest_of, write_log
from streams.logs.event_log import load_log
from streams.logs.negatives import has_sampled
from streams.logs.slices import INITIAL_ROWS, INITIAL_SHARE, SLICE_ROWS, first_of_tail, slices
from streams.work_view import Show, shown
from wire.arrays import F64

LIVE = (LOGGED, BOOSTED, ONLINE, STALE)  # what devices can add to live, the first that there is where nothing is said


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How a log is scored: the share of it that the model learns from first, how old what everybody did is at least
    when it is known, in event time, and what of events' `context` it knows."""

    initial_share: float = INITIAL_SHARE
    delay_ms: int = 5_000
    context: ContextNames = NO_CONTEXT
    seed: int = 0


def score(log: pl.DataFrame, base: str, scoring: Scoring, show: Show) -> pl.DataFrame:
    """The sorted log (columns of `streams.logs.event_log`) with what the model `base` expected of each event, before it
    learned from it, as `base` (log-odds): null where it had too little before.

    `coda evaluate --devices all` gives its devices the same numbers. Raises `InputError`.
    """
    first = first_of_tail(log, scoring.initial_share)
    impressions = not has_sampled(log)
    service = Service(
        (base,),
        base=base,
        delay_ms=scoring.delay_ms,
        impressions=impressions,
        context=scoring.context,
        seed=scoring.seed,
    )
    context = bool(scoring.context.all)
    expected = [begun(service, log[:first], context=context, telling=True, show=show)]
    users = log["user_id"][first:].unique().to_list()
    tail = slices(log[first:], SLICE_ROWS, scoring.delay_ms, users, context=context)
    parts = shown("saying what is expected of each event", len(log) - first, tail, show)
    expected += [service.see(*columns_of(part)) for part in parts]
    return log.with_columns(pl.Series("base", np.concatenate(expected), pl.Float64, nan_to_null=True))


def begun(service: Service, initial: pl.DataFrame, *, context: bool, telling: bool, show: Show) -> F64:
    """Let a service learn from the initial part of a log, with contexts where it knows any; returns what
    `Service.begin` does. Raises `InputError`."""
    parts = slices(initial, INITIAL_ROWS, context=context)
    for part in shown("reading the initial part of the log", len(initial), parts, show):
        service.rehearse(*columns_of(part))
    show("training on the initial part", 0, len(initial))
    expected = service.begin(telling=telling)
    show("training on the initial part", len(initial), len(initial))
    return expected


def log_with_base(
    path: Path, asked: str | None, scoring: Scoring, *, show: Show, say: Callable[[str], None], into: Path | None = None
) -> tuple[str, Path]:
    """Which base of `LIVE` there is for the uniform log `path`, and a file of the log that says it, in `into` or in the
    cache: `path` itself where nothing has to change. Raises `InputError`."""
    log = load_log(path)
    there = possible(log, scoring.initial_share)
    base = choose(asked, LIVE, there)
    if base == LOGGED or (base == STALE and not there[LOGGED]):
        return base, path
    made_by = (scoring, lightgbm.__version__, _models())
    written = (into or data_folder()) / f"{path.stem}-{base}-{digest_of(path, *made_by)}.parquet"
    if not written.is_file():
        scored = score(log, base, scoring, show) if base in MODELS else log.with_columns(base=pl.lit(None, pl.Float64))
        write_log(as_log(scored), written)
        how = "with what was expected of each" if base in MODELS else "without their bases"
        say(f"{written}: the same events {how}")
    return base, written


def _models() -> str:
    """Another one when models are made otherwise, as a log in the cache outlives the program that scored it."""
    rooms = (Path(models.streamed.__path__[0]), Path(__file__).parent)
    return xxh3_64_hexdigest(b"".join(each.read_bytes() for room in rooms for each in sorted(room.glob("*.py"))))
