"""Sampled negatives for logs that only say what users took: what others took soon after.

Five things would leak the label, so none of them is done. Items drawn from before the event were surely taken once
in that window, which their positive need not have been: fresh popularity would rank backwards. Items that nobody had
taken yet would mean "negative", so an item that was known gets known ones, and one that was not gets such as were
not either. Items drawn from far ahead have had time to rise or fade: the window is as wide as the probes
(`streams.logs.probes`) allow. Leaving out everything the user ever took would make "seen before" mean "positive":
only what was taken at that same moment is left out. Writing a positive before its negatives would make the order
tell: rows of one moment are shuffled.

A positive that nothing can be set against stays in the log, but its prediction is worth nothing: it has no negative.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from streams.logs.past import Past
from streams.logs.probes import Probes, probes
from wire.arrays import I64, Bool
from wire.errors import InputError

EVENT_TYPE = "sampled"
# Positives after the event, widest first. In a narrow window a few users' next baskets are most of what there is.
WIDTHS = (4096, 2048, 1024, 512, 256, 128, 64)
_FAIR = 0.015  # from .5 at most, of every probe: less than what is warned of, as a width is tried on a part only
_PROBED = 100_000  # pairs that a width is tried on; the standard error of a probe is then .002
_FIRST_TAKINGS = 50  # how many of the next items that nobody knew an unknown item is set against
# A draw that hits the same basket or an unknown item is drawn again. Where even half of a window's rows are such,
# 20 rounds leave one in a million without a negative.
_ROUNDS = 20


@dataclass(frozen=True)
class Sampling:
    """How many negatives each positive gets, and the seed of the draw."""

    per_positive: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.per_positive < 1:
            raise InputError(f"--negatives must be at least 1, not {self.per_positive}")

    @property
    def slug(self) -> str:
        """What tells this sampling from others in a file name."""
        return f"next{self.per_positive}-seed{self.seed}"


@dataclass(frozen=True)
class Sampled:
    """A log with negatives, how many of them could not be drawn, from how many positives after each, and how fair."""

    log: pl.DataFrame
    missing: int
    window_rows: int
    probes: Probes

    def lines(self) -> list[str]:
        """What a person reads about the draw."""
        drawn = f"negatives drawn among the next {self.window_rows:,} positives, {self.missing:,} could not be drawn"
        return [drawn, *self.probes.lines()]


def add_negatives(log: pl.DataFrame, sampling: Sampling) -> Sampled:
    """The log with `per_positive` rows of label 0 at the time of each row, for the same user.

    An item is drawn as often as it is taken in the window, so popularity alone predicts nothing. A negative has no
    context of its own (null), so context must not become a feature of such a log. `log` is sorted by `timestamp`.
    Raises `InputError` when the log has rows of label 0 already, or bases.
    """
    if (log["label"] != 1).any():
        raise InputError("this log has negatives of its own: sampling is for logs with positives only")
    if "base" in log.columns and log["base"].is_not_null().any():
        raise InputError("no model said a base of drawn negatives, which would tell them apart: leave the base out")
    draw = _Draw(Past(log), sampling.seed)
    window_rows = draw.fair_width()
    event = np.repeat(np.arange(log.height), sampling.per_positive)
    drawn = draw.rows(event, window_rows)
    found = drawn >= 0
    negatives = _negatives(log, event[found], drawn[found])
    rows = pl.concat([log, negatives], how="diagonal").with_columns(
        pl.Series("order", draw.rng.permutation(log.height + len(negatives)))
    )
    shuffled = rows.sort("timestamp", "order").drop("order")
    return Sampled(shuffled, int((~found).sum()), window_rows, probes(draw.past, event[found], drawn[found]))


def has_sampled(log: pl.DataFrame) -> bool:
    """Whether negatives were drawn for the log: label 0 then does not say that an item was shown."""
    return bool((log["event_type"] == EVENT_TYPE).any())


class _Draw:
    """Draws rows of `past` as negatives."""

    def __init__(self, past: Past, seed: int) -> None:
        self.past, self.rng = past, np.random.default_rng(seed)
        self._known = past.known(past.item, np.arange(past.rows))
        self._first_takings = np.flatnonzero(~self._known)

    def fair_width(self) -> int:
        """The widest window in which no probe tells; where all tell, the one in which they tell least."""
        later = np.arange(self.past.rows // 2, self.past.rows)  # the first half has little past
        tried = np.resize(later, _PROBED) if len(later) < _PROBED else later[:: len(later) // _PROBED]
        told = {}
        for width in WIDTHS:
            drawn = self.rows(tried, width)
            told[width] = probes(self.past, tried[drawn >= 0], drawn[drawn >= 0]).worst
            if told[width] <= _FAIR:
                return width
        return min(told, key=told.__getitem__)

    def rows(self, event: I64, width: int) -> I64:
        """A row for each entry of `event`, or -1 where there is none."""
        drawn = np.full(len(event), -1, np.int64)
        for known in (True, False):
            places = np.flatnonzero(self._known[event] == known)
            for _ in range(_ROUNDS):
                at = event[places]
                row = self._next_known(at, width) if known else self._next_first(at)
                good = self._good(row, at, known=known)
                drawn[places[good]] = row[good]
                places = places[~good]
        return drawn

    def _next_known(self, event: I64, width: int) -> I64:
        first = self.past.following[event]
        return self._between(first, np.minimum(first + width, self.past.rows))

    def _next_first(self, event: I64) -> I64:
        first = np.searchsorted(self._first_takings, self.past.following[event])
        place = self._between(first, np.minimum(first + _FIRST_TAKINGS, len(self._first_takings)))
        return np.where(place >= 0, np.append(self._first_takings, -1)[place], -1)

    def _between(self, first: I64, end: I64) -> I64:
        """A number from `first` up to `end`, -1 where there is none."""
        drawn = first + (self.rng.random(len(first)) * (end - first)).astype(np.int64)
        return np.where(first < end, drawn, -1)

    def _good(self, row: I64, event: I64, *, known: bool) -> Bool:
        item = self.past.item[row]
        good: Bool = (row >= 0) & ~self.past.in_basket(item, event) & (self.past.known(item, event) == known)
        return good


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
