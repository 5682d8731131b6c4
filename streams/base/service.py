"""The service: streamed features kept up event by event, and global models on them, one model for everybody each.

What everybody did it knows once that is as old as the delay, what the user did before at once. All models go on
learning as the stream goes: regressions from every moment, trees by being trained again on the newest.

| model | predicts with |
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

from models.scores import logit
from models.streamed.boosted import logits_before, train
from models.streamed.context import NO_CONTEXT, Context, ContextNames
from models.streamed.design import Design
from models.streamed.features import Seen, Streamed
from models.streamed.moments import Moments
from streams.base.model import GlobalModel, Met, Opinion, Regression, Trees
from streams.base.names import BOOSTED, ON_CLOUD, ONLINE, POPULARITY
from streams.base.newest import Newest
from wire.arrays import F64
from wire.errors import InputError
from wire.event import MOST_LOG_ODDS, Event
from wire.ids import item_keys, user_keys

_BLOCK = 256  # moments of the initial part that are learned at once, as in the stream


class Service:
    """All of it on one log: first `rehearse` its initial part, then `begin`, then `see` each slice.

    What the model `base` expects of an event is told before anything learns from it. `names` are of all its models.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        base: str = "",
        delay_ms: int,
        impressions: bool,
        context: ContextNames = NO_CONTEXT,
        seed: int,
    ) -> None:
        self.base = base
        self._names, self._delay_ms, self._seed = names, delay_ms, seed
        self._streamed = Streamed(impressions=impressions, context=context)
        self._context = Context(context.all)
        self._newest = Newest()
        self._waiting: deque[Met] = deque()  # not old enough to be learned from; the last is the slice last seen
        self._design: Design | None = None
        self._met = 0  # moments of the initial part
        self.models: dict[str, GlobalModel] = {}
        self.expected = Opinion(np.zeros(0), np.zeros(0))  # the base's, of what was seen last

    def rehearse(self, events: Sequence[Event]) -> None:
        """Take a part of the initial part of the log."""
        for at in range(0, len(events), _BLOCK):
            self._catch_up(events[at].timestamp - self._delay_ms)
            seen = self._seen(events[at : at + _BLOCK])
            self._waiting.append(self._met_at(seen))
            self._newest.add(seen)
        self._met += len(events)

    def begin(self) -> F64:
        """The initial part is over: learn from it.

        Returns what the base expected of each of its moments before it learned from them, as log-odds (n,): nan for
        those too old to be learned from, for those that trees had too little before, and for all without a base.
        Raises `InputError` where there is too little to train the base.
        """
        self._catch_up(int(self._waiting[-1].seen.moments.timestamp[-1]))
        features, label = self._newest.features, self._newest.label
        names, held = self._streamed.names, self._streamed.held
        if set(self._names) - {BOOSTED}:
            self._design = Design(names, features, same=self._streamed.same, impressions=self._streamed.impressions)
            self.models = self._regressions(self._design, float(logit(np.array([label.mean()]))[0]))
        expected = [np.full(self._met - len(features), np.nan), *map(self._rehearsed_one, self._newest)]
        if BOOSTED in self._names:
            if trees := train(features, label, names, held=held, seed=self._seed):
                self.models[BOOSTED] = Trees(trees, self._newest)
            elif self.base == BOOSTED:
                raise InputError(
                    "the initial part is too short, or has too little of one label, to train boosted trees"
                )
            if self.base == BOOSTED:
                expected[1:] = [logits_before(features, label, names, held=held, seed=self._seed)]
        return _said(np.concatenate(expected))

    @property
    def untrained(self) -> list[str]:
        """Models that predict nothing, as the initial part is too short to train them."""
        return [name for name in self._names if name not in self.models]

    def see(self, events: Sequence[Event]) -> F64:
        """A slice comes: what the base expects of its events, as log-odds (n,); nan without one."""
        self._catch_up(events[0].timestamp - self._delay_ms)
        self._waiting.append(self._met_at(self._seen(events)))
        return _said(self._expected(self._waiting[-1]))

    def hear(self, cloud: Mapping[str, F64]) -> Met:
        """What clouds made of the slice seen last, as logits (n,) by the model that builds on them; returns it all."""
        self._waiting[-1] = replace(self._waiting[-1], cloud=dict(cloud))
        return self._waiting[-1]

    def _regressions(self, design: Design, odds: float) -> dict[str, GlobalModel]:
        """Those that are; without a cloud model they start from `odds`."""
        popular = design.knowing({*self._streamed.popularity, "item", "category"})
        alone = {POPULARITY: popular, ONLINE: design.knowing(design.parts)}
        taken = design.knowing({"times", "since"})
        models = {
            **{name: Regression(columns, design.ranking, odds=odds) for name, columns in alone.items()},
            **{name: Regression(taken, design.ranking, cloud=name) for name in ON_CLOUD},
        }
        return {name: model for name, model in models.items() if name in self._names}

    def _rehearsed_one(self, seen: Seen) -> F64:
        """What the base expects of a block of the initial part, which all learn from then."""
        met = self._met_at(seen)
        expected = self._expected(met)
        self._learn(met)
        return expected

    def _seen(self, events: Sequence[Event]) -> Seen:
        return self._streamed.take(moments_of(events), self._context.of([event.context for event in events]))

    def _met_at(self, seen: Seen) -> Met:
        at = np.zeros((len(seen.features), 0), np.int64) if self._design is None else self._design.of(seen)
        return Met(seen, at, {})

    def _expected(self, met: Met) -> F64:
        if self.base not in self.models:
            return np.full(len(met), np.nan)
        self.expected = self.models[self.base].opinion(met)
        return self.expected.logit

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
        for model in self.models.values():
            model.learn(met)


def _said(log_odds: F64) -> F64:
    """As far from 0 as an event may say."""
    return np.clip(log_odds, -MOST_LOG_ODDS, MOST_LOG_ODDS)


def moments_of(events: Sequence[Event]) -> Moments:
    """Events in columns, as the streamed features take them."""
    return Moments(
        user_keys([event.user_id for event in events]),
        item_keys([event.item_id for event in events]),
        item_keys([event.category_id for event in events]),
        np.array([event.label for event in events], np.uint8),
        np.array([event.timestamp for event in events], np.int64),
    )
