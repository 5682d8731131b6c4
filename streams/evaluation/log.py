"""The log of an evaluation: whole, sorted, and with sampled negatives where it has positives only."""

from dataclasses import replace
from typing import NamedTuple

import polars as pl
from xxhash import xxh3_64_hexdigest

from streams.logs.check import LogCheck, check_of
from streams.logs.event_log import NO_POSITIVES, EventLog, only_positives, sorted_events
from streams.logs.negatives import Sampled, Sampling, add_negatives, has_sampled
from wire.errors import InputError


class EvaluationLog(NamedTuple):
    """What a log holds, its events, sorted, and how its negatives were drawn, if they were."""

    check: LogCheck
    events: pl.DataFrame
    sampled: Sampled | None = None


def evaluation_log(log: EventLog, sampling: Sampling | None) -> EvaluationLog:
    """What `log` holds, and its events, sorted; with `sampling`, its positives and their sampled negatives.

    Rows of label 0 are then left out: in a log of what users took they are returns and the like, which are not
    "shown and not taken". Raises `InputError` for a log that can't be used.
    """
    batches = list(log.batches())
    check = replace(check_of(log, batches), negatives=sampling.per_positive if sampling else 0)
    events, _ = sorted_events(log.path, batches)
    if not check.positives:
        raise InputError(f"{log.path}: {check.unmatched or NO_POSITIVES}")
    if sampling is not None:
        sampled = add_negatives(events.filter(pl.col("label") == 1), sampling)
        return EvaluationLog(check, _with_ids(sampled.log), sampled)
    if check.positives == check.events:
        raise InputError(f"{log.path}: {only_positives(log.said)}")
    return EvaluationLog(check, events)


def repeats(log: pl.DataFrame) -> pl.DataFrame:
    """Columns `event_id` and `repeat`: whether the event's user had taken its item before, at an earlier time.

    >>> log = pl.DataFrame({"event_id": ["a", "b", "c"], "user_id": "u", "item_id": "i"})
    >>> repeats(log.with_columns(label=pl.Series([0, 1, 0]), timestamp=pl.Series([1, 2, 3])))["repeat"].to_list()
    [False, False, True]
    """
    first = pl.col("timestamp").filter(pl.col("label") == 1).min().over("user_id", "item_id")
    return log.select("event_id", repeat=(first < pl.col("timestamp")).fill_null(value=False))


def compared(log: pl.DataFrame) -> pl.DataFrame:
    """The column `event_id` of what arms are compared on: all but positives that got no sampled negative.

    Nothing can be set against these, and what they have in common, such as being the last of a log, would tell.

    >>> log = pl.DataFrame({"event_id": list("abc"), "user_id": "u", "event_type": ["buy", "sampled", "buy"]})
    >>> compared(log.with_columns(label=pl.Series([1, 0, 1]), timestamp=pl.Series([1, 1, 2])))["event_id"].to_list()
    ['a', 'b']
    """
    if not has_sampled(log):
        return log.select("event_id")
    return log.filter((pl.col("label") == 0).any().over("user_id", "timestamp")).select("event_id")


def _with_ids(log: pl.DataFrame) -> pl.DataFrame:
    """Ids for the rows that were drawn: like those of a file's rows, a hash that knows the row's number."""
    drawn = log.with_row_index("row").filter(pl.col("event_id").is_null())
    raws = drawn.select(pl.concat_str("user_id", "item_id", "timestamp", separator=",")).to_series().to_list()
    ids = list(map(xxh3_64_hexdigest, [raw.encode() for raw in raws], drawn["row"].to_list()))
    drawn = drawn.select("row", pl.Series("drawn_id", ids, pl.String))
    joined = log.with_row_index("row").join(drawn, on="row", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("event_id", "drawn_id").alias("event_id")).drop("row", "drawn_id")
