"""Rivals: what a service would take instead of personal models, as arms of the evaluation.

All are global, one model for everybody, and cheap. What everybody did they know once it is as old as the plan's delay.
All but `boosted` also learn from it as the stream goes; that one is trained on the initial part, and stays as it is.

| rival | predicts with |
|---|---|
| `popularity` | how often an item and its category were taken lately, how old it is, its rate where it was shown |
| `repeats` | the devices' cloud model, and whether, how often and how long ago the user had taken the item |
| `repeats-refreshed` | the same with the newest cloud model, where it is another one |
| `online` | all streamed features (`models.streamed`), by a regression |
| `boosted` | the same, by gradient-boosted trees; where the initial part is too short to train any it is left out |
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from models.scores import logit
from models.streamed.boosted import logits_before, train
from models.streamed.design import Design
from models.streamed.features import Seen, Streamed
from models.streamed.moments import Moments
from streams.evaluation.lineup import BOOSTED, ON_CLOUD, ONLINE, POPULARITY, REPEATS, RIVALS, SCORE
from streams.evaluation.rival import Met, Opinion, Regression, Rival, Trees
from wire.arrays import F64
from wire.event import Event
from wire.ids import item_keys, user_keys

_BLOCK = 256  # moments of the initial part that are learned at once, as in the stream
_REHEARSED = 200_000  # newest moments of the initial part that rivals learn from: 60 MB while they do


class Rivals:
    """All rivals on one log: first `rehearse` its initial part, then `begin`, then `see` and `meet` each slice.

    What `base`, one of them, expects of an event is there before devices predict it, for them to add to.
    """

    def __init__(self, *, delay_ms: int, impressions: bool, seed: int, base: str = "") -> None:
        self._delay_ms, self._seed, self._base = delay_ms, seed, base
        self._streamed = Streamed(impressions=impressions)
        self._rehearsed: deque[Seen] = deque()
        self._waiting: deque[Met] = deque()  # not old enough to be learned from; the last is the slice last seen
        self._design: Design | None = None
        self._rivals: dict[str, Rival] = {}
        self._tables: list[pl.DataFrame] = []
        self._said = Opinion(np.zeros(0), np.zeros(0))  # the base's, of what was seen last
        self._met = 0  # moments of the initial part

    def rehearse(self, events: Sequence[Event]) -> None:
        """Take a part of the initial part of the log."""
        for at in range(0, len(events), _BLOCK):
            moments = moments_of(events[at : at + _BLOCK])
            self._catch_up(int(moments.timestamp[0]) - self._delay_ms)
            seen = self._streamed.take(moments)
            self._waiting.append(Met(seen, np.zeros((len(seen.features), 0), np.int64), {}))
            self._rehearsed.append(seen)
        self._met += len(events)
        while len(self._rehearsed) > _REHEARSED // _BLOCK:
            self._rehearsed.popleft()

    def begin(self) -> F64:
        """The initial part is over: cut the features into bins, and learn from it what needs no cloud model.

        Returns what the base expected of each of its moments before it learned from them, as log-odds (n,): nan for
        those too old to be learned from, for those that trees had too little before, and for all without a base.
        """
        self._catch_up(int(self._rehearsed[-1].moments.timestamp[-1]))
        features = np.concatenate([seen.features for seen in self._rehearsed])
        label = np.concatenate([seen.moments.label for seen in self._rehearsed])
        names, impressions = self._streamed.names, self._streamed.impressions
        self._design = design = Design(names, features, impressions=impressions)
        self._rivals = self._regressions(design, float(logit(np.array([label.mean()]))[0]))
        expected = [np.full(self._met - len(features), np.nan)]
        for seen in self._rehearsed:
            met = Met(seen, design.of(seen), {})
            expected.append(self._expected(met))
            self._learn(met)
        self._rehearsed.clear()
        if trees := train(features, label, names, impressions=impressions, seed=self._seed):
            self._rivals[BOOSTED] = Trees(trees)
        if self._base == BOOSTED:
            expected[1:] = [logits_before(features, label, names, impressions=impressions, seed=self._seed)]
        return np.concatenate(expected)

    @property
    def untrained(self) -> list[str]:
        """Those that predict nothing, as the initial part is too short to train them."""
        return [name for name in RIVALS if name not in self._rivals]

    def see(self, events: Sequence[Event]) -> F64:
        """A slice comes: what the base expects of its events, as log-odds (n,); nan without one."""
        assert self._design is not None, "the initial part comes first"
        self._catch_up(events[0].timestamp - self._delay_ms)
        seen = self._streamed.take(moments_of(events))
        self._waiting.append(Met(seen, self._design.of(seen), {}))
        return self._expected(self._waiting[-1])

    def meet(self, events: Sequence[Event], cloud: Mapping[str, Mapping[str, float]]) -> None:
        """Predict those of the slice's events that devices predicted; `cloud` has what the cloud model that a rival
        builds on made of them, by rival and event id."""
        ids = [event.event_id for event in events]
        logits = {name: logit(np.array([of.get(each, np.nan) for each in ids])) for name, of in cloud.items()}
        met = self._waiting[-1] = replace(self._waiting[-1], cloud=logits)
        asked = np.flatnonzero(~np.isnan(logits[REPEATS]))
        columns: dict[str, F64] = {}
        for name, rival in self._rivals.items():
            if name in cloud or name not in ON_CLOUD:
                opinion = self._said.take(asked) if name == self._base else rival.opinion(met.take(asked))
                columns |= {name: opinion.probability, name + SCORE: opinion.score}
        self._tables.append(pl.DataFrame({"event_id": [ids[n] for n in asked], **columns}))

    def table(self) -> pl.DataFrame:
        """All that was predicted: `event_id`, and for each rival its probability and its score."""
        return pl.concat(self._tables)

    def _regressions(self, design: Design, odds: float) -> dict[str, Rival]:
        """The rivals that are; without a cloud model they start from `odds`."""
        popular = design.knowing({*self._streamed.popularity, "item", "category"})
        alone = {POPULARITY: popular, ONLINE: design.knowing(design.parts)}
        taken = design.knowing({"times", "since"})
        return {
            **{name: Regression(columns, design.ranking, odds=odds) for name, columns in alone.items()},
            **{name: Regression(taken, design.ranking, cloud=name) for name in ON_CLOUD},
        }

    def _expected(self, met: Met) -> F64:
        if self._base not in self._rivals:
            return np.full(len(met), np.nan)
        self._said = self._rivals[self._base].opinion(met)
        return self._said.logit

    def _catch_up(self, known_ms: int) -> None:
        """Learn from what happened by then."""
        while self._waiting:
            first = self._waiting.popleft()
            known = int(np.searchsorted(first.seen.moments.timestamp, known_ms, "right"))
            if known:
                self._streamed.learn(first.seen.take(slice(known)))
                self._learn(first.take(slice(known)))
            if known < len(first):
                self._waiting.appendleft(first.take(slice(known, None)))
                return

    def _learn(self, met: Met) -> None:
        for rival in self._rivals.values():
            rival.learn(met)


def moments_of(events: Sequence[Event]) -> Moments:
    """Events in columns, as the streamed features take them."""
    return Moments(
        user_keys([event.user_id for event in events]),
        item_keys([event.item_id for event in events]),
        item_keys([event.category_id for event in events]),
        np.array([event.label for event in events], np.uint8),
        np.array([event.timestamp for event in events], np.int64),
    )
