"""The head of an event log as samples with histories: what the first cloud model learns from."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import polars as pl

from models.history import History
from models.sample import SampleBlock, pad_histories
from models.taken import Taken
from streams.logs.event_log import load_log
from streams.logs.options import AS_FOUND, LogOptions
from wire.errors import InputError
from wire.ids import item_keys, sample_keys, user_keys


def head_samples(path: Path, share: float, options: LogOptions = AS_FOUND) -> SampleBlock:
    """The samples of the first `share` of a log, in time order; `produced_ms` is 0.

    The cut is a moment, not a row: it lies before the first event beyond the share, so that no event of the rest
    has a time that the model has seen. Raises `InputError` for a log that can't be read or leaves no head.
    """
    if not 0 < share <= 1:
        raise InputError(f"--head-share is {share:g}: it must be more than 0 and at most 1")
    events = load_log(path, options)
    cut = int(share * events.height)
    if cut < events.height:
        events = events.filter(pl.col("timestamp") < events["timestamp"][cut])
    if not events.height:
        raise InputError(f"the first {share:g} of {path} holds no event of its own time: give a larger --head-share")
    return samples_of(events)


def samples_of(events: pl.DataFrame) -> SampleBlock:
    """Events in time order (columns of `streams.logs.event_log`) as samples, each with what its user had before."""
    item, category = item_keys(events["item_id"].to_list()), item_keys(events["category_id"].to_list())
    users, label, timestamp = events["user_id"].to_list(), events["label"].to_numpy(), events["timestamp"].to_numpy()
    known: dict[str, tuple[History, Taken]] = defaultdict(lambda: (History(), Taken()))
    before, times = [], []
    rows = zip(users, item.tolist(), category.tolist(), label.tolist(), timestamp.tolist(), strict=True)
    for user, this_item, this_category, clicked, at in rows:
        history, taken = known[user]
        before.append(history.bytes_before(at))
        times.append(taken.before(this_item, at)[0])
        if clicked:
            history.add(at, this_item, this_category)
            taken.add(this_item, at)
    return SampleBlock(
        sample=sample_keys(events["event_id"].to_list()),
        user=user_keys(users),
        item=item,
        category=category,
        label=label.astype(np.uint8),
        times=np.array(times, np.uint8),
        timestamp=timestamp.astype(np.int64),
        produced_ms=np.zeros(len(users), np.int64),
        history_item=pad_histories([items for items, _ in before]),
        history_category=pad_histories([categories for _, categories in before]),
    )
