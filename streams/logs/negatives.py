"""Sampled negatives for logs that only say what users took.

Four things would leak the label, so none of them is done. Items drawn only from the past would make "new item" mean
"positive": the window lies on both sides of the event. Items drawn from far around would make "new item" mean
"negative" wherever items come and go, and fresh popularity rank backwards: the window is narrow. Leaving out everything
the user ever took would make "seen before" mean "positive": only what was taken at that same moment is left out.
Writing a positive before its negatives would make the order tell: rows of one moment are shuffled.

The window counts positives, not hours, because no span of time fits every log: where articles live for hours, ±24 h
makes many negatives items that nobody has taken yet, and that alone tells them from positives. Of the nearest 2,000
positives on either side, an item's newness tells nothing, on news as in shops.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from wire.arrays import I64, Bool
from wire.errors import InputError

EVENT_TYPE = "sampled"
NEAREST = 2000
# A draw that hits the same basket is drawn again. Where even half of a window's rows are the user's own basket,
# 20 rounds leave one in a million without a negative.
_ROUNDS = 20


@dataclass(frozen=True)
class Sampling:
    """How many negatives each positive gets, from how many positives on either side of it, and the seed of the draw."""

    per_positive: int
    window_rows: int = NEAREST
    seed: int = 0

    def __post_init__(self) -> None:
        if self.per_positive < 1:
            raise InputError(f"--negatives must be at least 1, not {self.per_positive}")
        if self.window_rows < 1:
            raise InputError(f"the window of negatives must be at least 1 positive, not {self.window_rows}")

    @property
    def slug(self) -> str:
        """What tells this sampling from others in a file name."""
        return f"neg{self.per_positive}-w{self.window_rows}-seed{self.seed}"


@dataclass(frozen=True)
class Sampled:
    """A log with negatives, and how many of them could not be drawn because the window held nothing else."""

    log: pl.DataFrame
    missing: int


def add_negatives(log: pl.DataFrame, sampling: Sampling) -> Sampled:
    """The log with `per_positive` rows of label 0 at the time of each row, for the same user.

    An item is drawn as often as it is taken in the `window_rows` rows before and after, fewer at the log's ends, so
    popularity alone predicts nothing. A negative has no context of its own (null), so context must not become a feature
    of such a log. `log` is sorted by `timestamp`. Raises `InputError` when the log has rows of label 0 already.
    """
    if (log["label"] != 1).any():
        raise InputError("this log has negatives of its own: sampling is for logs with positives only")
    row = np.arange(log.height)
    first = np.maximum(row - sampling.window_rows, 0)
    last = np.minimum(row + sampling.window_rows + 1, log.height)
    event = np.repeat(row, sampling.per_positive)
    rng = np.random.default_rng(sampling.seed)
    drawn = _draw(event, first, last, _Baskets(log), rng)
    found = drawn >= 0
    negatives = _negatives(log, event[found], drawn[found])
    rows = pl.concat([log, negatives], how="diagonal").with_columns(
        pl.Series("order", rng.permutation(log.height + len(negatives)))
    )
    return Sampled(rows.sort("timestamp", "order").drop("order"), int((~found).sum()))


class _Baskets:
    """What each user took at each moment: one sorted column of (basket, item) pairs."""

    def __init__(self, log: pl.DataFrame):
        self._basket = (
            log.select(pl.struct("user_id", "timestamp").rank("dense")).to_series().to_numpy().astype(np.int64)
        )
        self._item = log.select(pl.col("item_id").rank("dense")).to_series().to_numpy().astype(np.int64)
        self._items = int(self._item.max(initial=0)) + 1
        self._pairs = np.unique(self._basket * self._items + self._item)

    def hold(self, event: I64, row: I64) -> Bool:
        """Whether the item of `row` was taken by the user of `event` at that very moment."""
        pair = self._basket[event] * self._items + self._item[row]
        at = np.minimum(np.searchsorted(self._pairs, pair), len(self._pairs) - 1)
        held: Bool = self._pairs[at] == pair
        return held


def _draw(event: I64, first: I64, last: I64, baskets: _Baskets, rng: np.random.Generator) -> I64:
    """A row of the log for each entry of `event`, or -1 where every round hit the event's own basket."""
    drawn = np.full(len(event), -1, np.int64)
    open_ones = np.arange(len(event))
    for _ in range(_ROUNDS):
        at = event[open_ones]
        row = first[at] + (rng.random(len(at)) * (last - first)[at]).astype(np.int64)
        free = ~baskets.hold(at, row)
        drawn[open_ones[free]] = row[free]
        open_ones = open_ones[~free]
    return drawn


def _negatives(log: pl.DataFrame, event: I64, drawn: I64) -> pl.DataFrame:
    asked, taken = log[event], log[drawn]
    return pl.DataFrame(
        {
            "user_id": asked["user_id"],
            "item_id": taken["item_id"],
            "category_id": taken["category_id"],
            "event_type": pl.repeat(EVENT_TYPE, len(event), eager=True),
            "label": pl.repeat(0, len(event), dtype=log.schema["label"], eager=True),
            "timestamp": asked["timestamp"],
        }
    )
