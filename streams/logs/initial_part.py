"""The initial part of an event log as samples with histories: what the first cloud model learns from."""

from collections import defaultdict
from pathlib import Path

import polars as pl
import structlog

from models.features import Known
from models.sample import SampleBlock, block_of
from streams.logs.event_log import NO_POSITIVES, load_log, only_positives
from streams.logs.options import AS_FOUND, LogOptions
from wire.errors import InputError
from wire.ids import item_key, sample_key, user_key
from wire.moments import EventMs
from wire.sample import SampleRecord

_log = structlog.get_logger()
_COLUMNS = ("event_id", "user_id", "item_id", "category_id", "label", "timestamp")


def initial_samples(path: Path, share: float, options: LogOptions = AS_FOUND) -> SampleBlock:
    """The samples of the first `share` of a log, in time order; `produced_ms` is 0.

    The cut is a moment, not a row: it lies before the first event beyond the share, so that no event of the rest
    has a time that the model has seen. Raises `InputError` for a log that can't be read, leaves none, or no positive.
    """
    events = load_log(path, options)
    cut = int(share * events.height)
    if cut < events.height:
        events = events.filter(pl.col("timestamp") < events["timestamp"][cut])
    if not events.height:
        raise InputError(f"the first {share:g} of {path} holds no event of its own time: give a larger --initial-share")
    if not (events["label"] == 1).any():
        raise InputError(f"the first {share:g} of {path}: {NO_POSITIVES}")
    if (events["label"] == 1).all():
        _log.warning(only_positives(options.said(path)))
    return samples_of(events)


def samples_of(events: pl.DataFrame) -> SampleBlock:
    """Events in order of arrival (columns of `streams.logs.event_log`) as samples, with what was known before each."""
    known: dict[str, Known] = defaultdict(Known)
    records = []
    for event_id, user_id, item_id, category_id, label, timestamp in events.select(_COLUMNS).iter_rows():
        item, category = item_key(item_id), item_key(category_id)
        times, _, items, categories = known[user_id].take(item, category, label, EventMs(timestamp))
        key = sample_key(event_id), user_key(user_id), item, category
        records.append(SampleRecord(*key, label, times, timestamp, 0, items, categories))
    return block_of(records)
