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

from collections.abc import Mapping, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from typing import Any

import numpy as np

from models.scores import logit
from models.streamed.bins import Bins
from models.streamed.boosted import logits_before, train
from models.streamed.context import NO_CONTEXT, Context, ContextNames
from models.streamed.design import Design
from models.streamed.features import Seen, Streamed
from models.streamed.moments import Moments
from models.streamed.people import People
from models.streamed.person import Person
from models.streamed.rest import Rest
from streams.base.model import GlobalModel, Met, Regression, Trees
from streams.base.names import BOOSTED, ON_CLOUD, ONLINE, POPULARITY
from streams.base.newest import Newest, features_of, label_of
from streams.base.training import Hand, at_once
from wire.arrays import F64
from wire.errors import InputError
from wire.event import MOST_LOG_ODDS, Event
from wire.ids import item_keys, user_keys

_MODEL = "model "  # before a model's name where it is at rest
_BLOCK = 256  # moments of the initial part that are learned at once, as in the stream
Contexts = Sequence[Mapping[str, Any] | None]  # of moments, what was told of each beside them


class Service:
    """All of it on one log or stream: first `rehearse` the initial part, then `begin`, then `see` each slice.

    What the model `base` expects of an event is told before anything learns from it. `names` are of all its models.
    A stream is not quite in order: what a slice says of a time to come is learned from when that time has come.
    Trees are trained again by the `hand`.
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
        hand: Hand = at_once,
    ) -> None:
        self.base = base
        self._hand = hand
        self._names, self._delay_ms, self._seed = names, delay_ms, seed
        self._streamed = Streamed(impressions=impressions, context=context)
        self._context = Context(context.all)
        self._newest = Newest()
        self._slice: list[Met] = []  # seen last, in the parts in which it came
        self._waiting: list[tuple[int, int, Met]] = []  # a heap of those not old enough to be learned from, by time
        self._number = 0  # of the next that waits: of two that begin at one time the first is learned first
        self._design: Design | None = None
        self._met, self._odds = 0, 0.0  # moments of the initial part, and their log-odds
        self.models: dict[str, GlobalModel] = {}

    def rehearse(self, moments: Moments, contexts: Contexts) -> None:
        """Take a part of the initial part of the log."""
        for at in range(0, len(contexts), _BLOCK):
            some = slice(at, at + _BLOCK)
            self._newest.add(self._slice_of(moments.take(some), contexts[some]).seen)
        self._met += len(contexts)

    def begin(self, *, telling: bool = True) -> F64:
        """The initial part is over: learn from it.

        Returns what the base expected of each of its moments before it learned from them, as log-odds (n,): nan for
        those too old to be learned from, for those that trees had too little before, and for all without a base. Trees
        of what came before cost more than those that go on: they are made if somebody is to be `telling` of it.
        Raises `InputError` where there is too little to train the base.
        """
        self._catch_up(int(self._slice[-1].seen.moments.timestamp[-1]))
        features, label = features_of(self._newest), label_of(self._newest)
        names, held = self._streamed.names, self._streamed.held
        if set(self._names) - {BOOSTED}:
            self._odds = float(logit(np.array([label.mean()]))[0])
            self.models = {**self._regressions(Bins(features))}
        expected = [np.full(self._met - len(features), np.nan), *map(self._rehearsed_one, self._newest)]
        if BOOSTED in self._names:
            if trees := train(features, label, names, held=held, seed=self._seed):
                self.models[BOOSTED] = Trees(trees, self._newest, self._hand)
            elif self.base == BOOSTED:
                raise InputError(
                    "the initial part is too short, or has too little of one label, to train boosted trees"
                )
            if self.base == BOOSTED and telling:
                expected[1:] = [logits_before(features, label, names, held=held, seed=self._seed)]
        return _said(np.concatenate(expected))

    @property
    def untrained(self) -> list[str]:
        """Models that predict nothing, as the initial part is too short to train them."""
        return [name for name in self._names if name not in self.models]

    def see(self, moments: Moments, contexts: Contexts) -> F64:
        """A slice comes: what the base expects of its n moments, as log-odds (n,); nan without one."""
        return _said(self._expected(self._slice_of(moments, contexts)))

    def go_on(self, moments: Moments, contexts: Contexts) -> F64:
        """More of the slice seen last, as if it had come with the rest."""
        self._slice.append(self._met_at(self._seen(moments, contexts)))
        return _said(self._expected(self._slice[-1]))

    def hear(self, cloud: Mapping[str, F64]) -> Met:
        """What clouds made of the slice seen last, as logits (n,) by the model that builds on them; returns it all."""
        (met,) = self._slice
        self._slice = [replace(met, cloud=dict(cloud))]
        return self._slice[0]

    @property
    def people(self) -> People[Person]:
        """Everybody's own past, which is kept apart from the rest, as it is most of all."""
        return self._streamed.people

    def blocks(self) -> dict[int, Rest]:
        """What trees are trained on, at rest, by numbers that stay."""
        trees = self.models.get(BOOSTED)
        return trees.blocks() if isinstance(trees, Trees) else {}

    def state(self) -> dict[str, Rest]:
        """All else at rest, once it has begun: by names, so that what stays as it was can be told from the rest."""
        bins = self._design.bins.state() if self._design else None
        return {
            **self._streamed.state(),
            **{f"{_MODEL}{name}": model.state() for name, model in self.models.items()},
            "service": (self._met, self._odds, self._number, bins, [met.state() for met in self._slice]),
            "context": self._context.state(),
            "waiting": [(first_ms, number, met.state()) for first_ms, number, met in self._waiting],
        }

    def restore(self, state: Mapping[str, Rest], blocks: Mapping[int, Rest]) -> None:
        """Go on from where a service that was made alike was at rest; `people` are restored by themselves."""
        self._streamed.restore(state)
        self._context.restore(state["context"])
        seen = {number: Seen.restore(block) for number, block in blocks.items()}
        self._newest.restore(seen)
        self._met, self._odds, self._number, bins, parts = state["service"]
        self._slice = [Met.restore(part) for part in parts]
        self._waiting = [(first_ms, number, Met.restore(met)) for first_ms, number, met in state["waiting"]]
        regressions = {} if bins is None else self._regressions(Bins.restore(bins))
        for name, model in regressions.items():
            model.restore(state[_MODEL + name])
        self.models = {**regressions}
        if trees := state.get(_MODEL + BOOSTED):
            self.models[BOOSTED] = Trees.restore(trees, seen, self._newest, self._hand)

    def _regressions(self, bins: Bins) -> dict[str, Regression]:
        """Those that are, on features cut like that; without a cloud model they start from the initial part's odds."""
        self._design = design = Design(
            self._streamed.names, bins, same=self._streamed.same, impressions=self._streamed.impressions
        )
        popular = design.knowing({*self._streamed.popularity, "item", "category"})
        alone = {POPULARITY: popular, ONLINE: design.knowing(design.parts)}
        taken = design.knowing({"times", "since"})
        models = {
            **{name: Regression(columns, design.ranking, odds=self._odds) for name, columns in alone.items()},
            **{name: Regression(taken, design.ranking, cloud=name) for name in ON_CLOUD},
        }
        return {name: model for name, model in models.items() if name in self._names}

    def _rehearsed_one(self, seen: Seen) -> F64:
        """What the base expects of a block of the initial part, which all learn from then."""
        met = self._met_at(seen)
        expected = self._expected(met)
        self._learn(met)
        return expected

    def _slice_of(self, moments: Moments, contexts: Contexts) -> Met:
        """The next slice; what is old enough by its beginning is learned from before."""
        self._catch_up(int(moments.timestamp[0]) - self._delay_ms)
        self._slice = [self._met_at(self._seen(moments, contexts))]
        return self._slice[0]

    def _seen(self, moments: Moments, contexts: Contexts) -> Seen:
        return self._streamed.take(moments, self._context.of(contexts))

    def _met_at(self, seen: Seen) -> Met:
        at = np.zeros((len(seen.features), 0), np.int64) if self._design is None else self._design.of(seen)
        return Met(seen, at, {})

    def _expected(self, met: Met) -> F64:
        if self.base not in self.models:
            return np.full(len(met), np.nan)
        return self.models[self.base].logits(met)

    def _catch_up(self, known_ms: int) -> None:
        """Learn from what happened by then; the slice seen last is over."""
        if self._slice:
            self._wait(Met.concat(self._slice).in_order(), self._number)
            self._slice, self._number = [], self._number + 1
        while self._waiting and self._waiting[0][0] <= known_ms:
            _, number, first = heappop(self._waiting)
            known = int(np.searchsorted(first.seen.moments.timestamp, known_ms, "right"))
            self._streamed.learn(first.seen.take(slice(known)))
            self._learn(first.take(slice(known)))
            if known < len(first):
                self._wait(first.take(slice(known, None)), number)

    def _wait(self, met: Met, number: int) -> None:
        heappush(self._waiting, (int(met.seen.moments.timestamp[0]), number, met))

    def _learn(self, met: Met) -> None:
        for model in self.models.values():
            model.learn(met)


def _said(log_odds: F64) -> F64:
    """As far from 0 as an event may say."""
    return np.clip(log_odds, -MOST_LOG_ODDS, MOST_LOG_ODDS)


def columns_of(events: Sequence[Event]) -> tuple[Moments, Contexts]:
    """Events in columns, as a service takes them."""
    moments = Moments(
        user_keys([event.user_id for event in events]),
        item_keys([event.item_id for event in events]),
        item_keys([event.category_id for event in events]),
        np.array([event.label for event in events], np.uint8),
        np.array([event.timestamp for event in events], np.int64),
    )
    return moments, [event.context for event in events]
