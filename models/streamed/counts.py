"""Counts: what everybody did with a thing, an item or a category, lately and for long."""

import numpy as np

from models.streamed.decayed import Decayed
from models.streamed.rest import Rest
from models.streamed.slots import Slots
from wire.arrays import F64, I64, U8, U32, Bool

_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000
# News lives for hours, shops for months: a ladder that holds both, about four times as long at each step.
HALF_LIVES_MS = (10 * _MINUTE_MS, _HOUR_MS, 6 * _HOUR_MS, _DAY_MS, 7 * _DAY_MS, 60 * _DAY_MS)
SPANS = ("10m", "1h", "6h", "1d", "7d", "60d")  # how features are named by them
_UNSEEN = 0.1  # positives that everything is thought to have had, so that there is a logarithm
_DOUBT = 20.0  # impressions by everybody that a rate starts from
_NEVER = np.iinfo(np.int64).min


class Counts:
    """Of up to `capacity` things; with `impressions` also how often each was shown."""

    def __init__(self, capacity: int, *, impressions: bool) -> None:
        self._capacity, self._slots = capacity, Slots(capacity)
        self._positives = Decayed(capacity + 1, HALF_LIVES_MS, exact=True)
        self._shown = Decayed(capacity + 1, HALF_LIVES_MS, exact=True) if impressions else None
        self._first_ms: I64 = np.full(capacity + 1, _NEVER)
        self._last_ms: I64 = np.full(capacity + 1, _NEVER)
        self._everything = Decayed(2, HALF_LIVES_MS, exact=True)  # positives, impressions

    def learn(self, key: U32, label: U8, timestamp: I64) -> None:
        """Take in n moments, in event-time order."""
        taken = label > 0
        if self._shown is None:
            key, timestamp, taken = key[taken], timestamp[taken], taken[taken]
        for at in range(0, len(key), self._capacity):  # a day's of a log without hours may be of more things
            part = slice(at, at + self._capacity)
            self._add(key[part], taken[part], timestamp[part])

    def of(self, key: U32) -> I64:
        """Which things these are: the numbers that the others take."""
        return self._slots.of(key.tolist())

    def lately(self, thing: I64, timestamp: I64) -> list[F64]:
        """Logarithm of each thing's share of all positives, (n, spans); with impressions also how often each is taken
        when it is shown, drawn towards everything's rate, (n, spans)."""
        everything = self._everything.at(np.array([0, 1]), timestamp[:, None])
        positives, others = everything[..., 0, :], everything[..., 1, :]
        taken = self._positives.at(thing, timestamp)
        shares: F64 = np.log((taken + _UNSEEN) / (positives + 1))
        if self._shown is None:
            return [shares]
        overall = (positives + 1) / (positives + others + 3)
        rates: F64 = (taken + _DOUBT * overall) / (self._shown.at(thing, timestamp) + _DOUBT)
        return [shares, rates]

    def ages(self, thing: I64, timestamp: I64) -> F64:
        """ln(1 + minutes) since each was first and last taken, (n, 2); -1 where it never was."""
        since_ms = np.array([self._first_ms[thing], self._last_ms[thing]])
        known = since_ms != _NEVER
        minutes = np.maximum(timestamp - np.where(known, since_ms, timestamp), 0) / _MINUTE_MS
        ages: F64 = np.where(known, np.log1p(minutes), -1.0).T
        return ages

    def state(self) -> Rest:
        """The counts at rest."""
        tables = [each.state() for each in self._tables()]
        return self._slots.state(), tables, self._first_ms, self._last_ms

    def restore(self, state: Rest) -> None:
        """Become those that were at rest in `state`."""
        slots, tables, self._first_ms[:], self._last_ms[:] = state
        self._slots.restore(slots)
        for each, table in zip(self._tables(), tables, strict=True):
            each.restore(table)

    def _tables(self) -> list[Decayed]:
        return [each for each in (self._positives, self._everything, self._shown) if each is not None]

    def _add(self, key: U32, taken: Bool, timestamp: I64) -> None:
        """Take in moments of no more things than there is room for."""
        row, new = self._slots.place(key.tolist(), timestamp)
        self._clear(new)
        self._positives.add(row, timestamp, taken.astype(np.float64))
        self._everything.add(np.where(taken, 0, 1), timestamp)
        if self._shown is not None:
            self._shown.add(row, timestamp)
        row, timestamp = row[taken], timestamp[taken]
        unknown = self._first_ms[row] == _NEVER
        self._first_ms[row[unknown][::-1]] = timestamp[unknown][::-1]  # of several the first one is written last
        np.maximum.at(self._last_ms, row, timestamp)

    def _clear(self, row: I64) -> None:
        self._positives.clear(row)
        if self._shown is not None:
            self._shown.clear(row)
        self._first_ms[row] = self._last_ms[row] = _NEVER
