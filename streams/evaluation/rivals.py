"""Rivals: what a service would take instead of personal models, as arms of the evaluation.

All are global, one model for everybody, and cheap: they learn as the stream goes, each moment once it is as old as
the plan's delay.

| rival | predicts with |
|---|---|
| `popularity` | how often an item and its category were taken lately, how old it is, its rate where it was shown |
| `repeats` | the devices' cloud model, and whether, how often and how long ago the user had taken the item |
| `repeats-refreshed` | the same with the newest cloud model, where it is another one |
| `online` | all streamed features (`models.streamed`) |
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from models.cloud_model import sigmoid
from models.scores import logit
from models.streamed.design import Design
from models.streamed.features import Seen, Streamed
from models.streamed.ftrl import Ftrl
from models.streamed.moments import Moments
from streams.evaluation.lineup import ONLINE, POPULARITY, REPEATS, RIVALS, SCORE
from wire.arrays import F64, I64
from wire.event import Event
from wire.ids import item_keys, user_keys

_BLOCK = 256  # moments of the initial part that are learned at once, as in the stream
_REHEARSED = 200_000  # newest moments of the initial part that regressions learn from: 60 MB while they do


@dataclass(frozen=True)
class Opinion:
    """What a rival makes of n moments: a score that ranks what a user meets at one moment, and a probability."""

    score: F64
    probability: F64


class Rival:
    """One regression on `columns` of a design; those of them that are `ranking` make the score."""

    def __init__(self, columns: I64, ranking: I64, odds: float) -> None:
        self._columns, self._odds = columns, odds
        self._ranking = np.isin(columns, ranking)
        self._weights = Ftrl()

    def opinion(self, at: I64, offset: F64) -> Opinion:
        """Of n moments with coordinates `at` (n, columns of the design), `offset` (n,) being what was known before."""
        mine = at[:, self._columns]
        score = offset + self._weights.logits(mine[:, self._ranking])
        whole = score + self._weights.logits(mine[:, ~self._ranking]) + self._odds
        return Opinion(score, sigmoid(whole.astype(np.float32)).astype(np.float64))

    def learn(self, at: I64, offset: F64, label: F64) -> None:
        """Learn n moments, in one step."""
        expected = self.opinion(at, offset).probability
        self._weights.learn(at[:, self._columns], label - expected)


@dataclass(frozen=True)
class _Waiting:
    """n moments that are not old enough to be learned from: coordinates (n, columns), none before there is a design,
    and the cloud's logits (n,) that rivals build on, nan where no device asked the cloud."""

    seen: Seen
    at: I64
    cloud: dict[str, F64]

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: slice) -> "_Waiting":
        """Some of them."""
        return _Waiting(self.seen.take(rows), self.at[rows], {name: of[rows] for name, of in self.cloud.items()})


class Rivals:
    """All rivals on one log: first `rehearse` its initial part, then `begin`, then `see` and `meet` each slice."""

    def __init__(self, *, delay_ms: int, impressions: bool) -> None:
        self._delay_ms = delay_ms
        self._streamed = Streamed(impressions=impressions)
        self._rehearsed: deque[Seen] = deque()
        self._waiting: deque[_Waiting] = deque()
        self._design: Design | None = None
        self._rivals: dict[str, Rival] = {}
        self._tables: list[pl.DataFrame] = []
        self._slice: _Waiting | None = None  # that is being predicted
        self._met = 0  # moments of the initial part

    def rehearse(self, events: Sequence[Event]) -> None:
        """Take a part of the initial part of the log."""
        for at in range(0, len(events), _BLOCK):
            moments = moments_of(events[at : at + _BLOCK])
            self._catch_up(int(moments.timestamp[0]) - self._delay_ms)
            seen = self._streamed.take(moments)
            self._waiting.append(_Waiting(seen, np.zeros((len(seen.features), 0), np.int64), {}))
            self._rehearsed.append(seen)
        self._met += len(events)
        while len(self._rehearsed) > _REHEARSED // _BLOCK:
            self._rehearsed.popleft()

    def begin(self, base: str = "") -> F64:
        """The initial part is over: cut the features into bins, and learn from it what needs no cloud model.

        Returns what the rival `base` expected of each of its moments before it learned from them, as log-odds (n,): nan
        for those too old to be learned from, and for all without a `base`.
        """
        features = np.concatenate([seen.features for seen in self._rehearsed])
        label = np.concatenate([seen.moments.label for seen in self._rehearsed])
        self._design = design = Design(self._streamed.names, features, impressions=self._streamed.impressions)
        odds = float(logit(np.array([label.mean()]))[0])
        knows = {POPULARITY: {*self._streamed.popularity, "item", "category"}, ONLINE: set(design.parts)}
        knows |= {name: {"times", "since"} for name in RIVALS if name.startswith(REPEATS)}
        self._rivals = {
            name: Rival(design.knowing(parts), design.ranking, 0.0 if name.startswith(REPEATS) else odds)
            for name, parts in knows.items()
        }
        expected = [np.full(self._met - len(features), np.nan)]
        for seen in self._rehearsed:
            waiting = _Waiting(seen, design.of(seen), {})
            expected.append(self._expected(base, waiting.at))
            self._regress(waiting)
        self._rehearsed.clear()
        self._catch_up(_newest_ms(self._waiting[-1].seen))
        return np.concatenate(expected)

    def see(self, events: Sequence[Event], base: str = "") -> F64:
        """A slice comes: what the rival `base` expects of its events, as log-odds (n,); nan without one."""
        assert self._design is not None, "the initial part comes first"
        self._catch_up(events[0].timestamp - self._delay_ms)
        seen = self._streamed.take(moments_of(events))
        self._slice = _Waiting(seen, self._design.of(seen), {})
        return self._expected(base, self._slice.at)

    def meet(self, events: Sequence[Event], cloud: Mapping[str, Mapping[str, float]]) -> None:
        """Predict those of the slice's events that devices predicted; `cloud` has what the cloud model that a rival
        builds on made of them, by rival and event id."""
        assert self._slice is not None, "a slice is seen before it is met"
        ids = [event.event_id for event in events]
        logits = {name: logit(np.array([of.get(each, np.nan) for each in ids])) for name, of in cloud.items()}
        waiting = replace(self._slice, cloud=logits)
        self._waiting.append(waiting)
        asked = np.flatnonzero(~np.isnan(logits[REPEATS]))
        columns: dict[str, F64] = {}
        for name in (POPULARITY, *cloud, ONLINE):
            opinion = self._rivals[name].opinion(waiting.at[asked], _offset(waiting, name)[asked])
            columns |= {name: opinion.probability, name + SCORE: opinion.score}
        self._tables.append(pl.DataFrame({"event_id": [ids[n] for n in asked], **columns}))

    def table(self) -> pl.DataFrame:
        """All that was predicted: `event_id`, and for each rival its probability and its score."""
        return pl.concat(self._tables)

    def _expected(self, base: str, at: I64) -> F64:
        if not base:
            return np.full(len(at), np.nan)
        return logit(self._rivals[base].opinion(at, np.zeros(len(at))).probability)

    def _catch_up(self, known_ms: int) -> None:
        """Learn from what happened by then."""
        while self._waiting:
            first = self._waiting.popleft()
            known = int(np.searchsorted(first.seen.moments.timestamp, known_ms, "right"))
            if known:
                self._streamed.learn(first.seen.take(slice(known)))
                self._regress(first.take(slice(known)))
            if known < len(first):
                self._waiting.appendleft(first.take(slice(known, None)))
                return

    def _regress(self, waiting: _Waiting) -> None:
        """One step of every regression that can make one."""
        label = waiting.seen.moments.label.astype(np.float64)
        for name, rival in self._rivals.items() if waiting.at.shape[1] else ():
            offset = _offset(waiting, name)
            known = np.flatnonzero(~np.isnan(offset))
            if len(known):
                rival.learn(waiting.at[known], offset[known], label[known])


def moments_of(events: Sequence[Event]) -> Moments:
    """Events in columns, as the streamed features take them."""
    return Moments(
        user_keys([event.user_id for event in events]),
        item_keys([event.item_id for event in events]),
        item_keys([event.category_id for event in events]),
        np.array([event.label for event in events], np.uint8),
        np.array([event.timestamp for event in events], np.int64),
    )


def _offset(waiting: _Waiting, name: str) -> F64:
    """The logits (n,) that a rival adds to: the cloud's, or nothing; nan where there is no cloud to add to."""
    none = np.nan if name.startswith(REPEATS) else 0.0
    return waiting.cloud.get(name, np.full(len(waiting.at), none))


def _newest_ms(seen: Seen) -> int:
    return int(seen.moments.timestamp[-1])
