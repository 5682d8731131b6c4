"""A log in slices: events that are predicted at once, before anything learns from any of them."""

from collections.abc import Collection, Iterator

import msgspec
import numpy as np
import polars as pl

from wire.arrays import I64
from wire.errors import InputError
from wire.event import Event

INITIAL_SHARE = 0.6  # of a log, by time, that the first model learns from
INITIAL_ROWS = 16_384  # nothing is predicted in the initial part, so its slices may be long
# Rows of the rest per slice. At 1,000 events/s they are a quarter of a second, as fresh as the live path is.
SLICE_ROWS = 256
_COLUMNS = ("event_id", "user_id", "item_id", "category_id", "event_type", "label", "timestamp")


def first_of_tail(log: pl.DataFrame, initial_share: float) -> int:
    """The first row after the initial part of a sorted log; rows of one moment stay together. Raises `InputError`."""
    times = log["timestamp"].to_numpy()
    first = int(np.searchsorted(times, times[int(len(times) * initial_share)], "left"))
    if first == 0:
        raise InputError(
            "the log's initial part is empty: all its events have one timestamp, or --initial-share is too small"
        )
    return first


def slices(
    log: pl.DataFrame, rows: int, delay_ms: int = 0, users: Collection[str] = (), *, context: bool = False
) -> Iterator[list[Event]]:
    """Slices of at least `rows` rows (but for the last); rows of one moment stay together. Events have their
    context where that is asked for.

    A slice ends early where one of `users` comes again after `delay_ms` or more, as what they did before is known then.
    """
    times = log["timestamp"].to_numpy()
    learned = _learned_before(log, users, delay_ms)
    said = pl.col("context") if context else pl.lit(None).alias("context")
    decode = msgspec.json.Decoder(dict).decode
    events = log.select(*_COLUMNS, said, "base").rows()  # at once: a slice of a frame costs as much as 1,000 events
    at = 0
    while at < len(times):
        end = int(np.searchsorted(times, times[min(at + rows, len(times)) - 1], "right"))
        again = np.flatnonzero(learned[at:end] >= at)
        if len(again):
            end = int(np.searchsorted(times, times[at + again[0]], "left"))
        yield [Event(*(*fields, decode(said) if said else None, base)) for *fields, said, base in events[at:end]]
        at = end


def _learned_before(log: pl.DataFrame, users: Collection[str], delay_ms: int) -> I64:
    """For each row the newest one of the same user that is at least `delay_ms` older, -1 if none or not of `users`."""
    newest = np.full(len(log), -1)
    mine = log.with_row_index("row").filter(pl.col("user_id").is_in(list(users))).select("row", "user_id", "timestamp")
    for (_,), part in mine.group_by("user_id"):
        row, times = part["row"].to_numpy().astype(np.int64), part["timestamp"].to_numpy()
        before = np.searchsorted(times, times - delay_ms, "right") - 1
        newest[row[before >= 0]] = row[before[before >= 0]]
    return newest


class Slicer:
    """Where `slices` of a stream begin, told at each event: nobody waits for the rest of a slice.

    Where several users share a moment, one who comes again begins a slice in the midst of it.
    """

    def __init__(self, rows: int, delay_ms: int) -> None:
        self._rows, self._delay_ms = rows, delay_ms
        self._in_slice, self._newest_ms = 0, 0
        self._first_ms: dict[str, int] = {}  # of each user in the slice

    def begins(self, user: str, timestamp_ms: int) -> bool:
        """Whether a slice begins with this event, the next in the stream."""
        full = self._in_slice >= self._rows and timestamp_ms != self._newest_ms
        again = self._first_ms.get(user, timestamp_ms) <= timestamp_ms - self._delay_ms
        begins = full or again or not self._in_slice
        if begins:
            self._in_slice = 0
            self._first_ms.clear()
        self._in_slice, self._newest_ms = self._in_slice + 1, timestamp_ms
        self._first_ms.setdefault(user, timestamp_ms)
        return begins

    def state(self) -> tuple[int, int, dict[str, int]]:
        """Where in a slice it is."""
        return self._in_slice, self._newest_ms, self._first_ms

    def restore(self, state: tuple[int, int, dict[str, int]]) -> None:
        """Go on from where `state` was."""
        self._in_slice, self._newest_ms, self._first_ms = state
