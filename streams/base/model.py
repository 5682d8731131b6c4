"""A global model, one for everybody, on streamed features: the two kinds that there are, and what one says."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from models.cloud_model import sigmoid
from models.streamed.boosted import Boosted, trainable
from models.streamed.features import Seen
from models.streamed.ftrl import Ftrl
from models.streamed.rest import Rest
from streams.base.newest import Newest, features_of, label_of
from streams.base.training import Hand
from wire.arrays import F64, I64

RENEWED = 0.1  # of the moments that trees learn from: each is trained on about ten times before it goes


@dataclass(frozen=True)
class Opinion:
    """What a model makes of n moments: a score that ranks what a user meets at one moment, and log-odds."""

    score: F64
    logit: F64

    @property
    def probability(self) -> F64:
        """Of the log-odds."""
        return sigmoid(self.logit.astype(np.float32)).astype(np.float64)


@dataclass(frozen=True)
class Met:
    """n moments: what was seen of them, coordinates (n, columns), none before there is a design, and the cloud's logits
    (n,) that models build on, by model, nan where no device asked the cloud."""

    seen: Seen
    at: I64
    cloud: dict[str, F64]

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: slice | I64) -> Self:
        """Some of them."""
        return type(self)(self.seen.take(rows), self.at[rows], {name: of[rows] for name, of in self.cloud.items()})

    def state(self) -> Rest:
        """All at rest."""
        return self.seen.state(), self.at, self.cloud

    @classmethod
    def restore(cls, state: Rest) -> Self:
        """What was at rest in `state`."""
        seen, at, cloud = state
        return cls(Seen.restore(seen), at, cloud)

    def in_order(self) -> Self:
        """The same by event time."""
        timestamp = self.seen.moments.timestamp
        return self if (np.diff(timestamp) >= 0).all() else self.take(np.argsort(timestamp, kind="stable"))

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """All moments of `parts` (at least one), which no cloud was asked about where there are several."""
        if len(parts) == 1:
            return parts[0]
        return cls(Seen.concat([part.seen for part in parts]), np.concatenate([part.at for part in parts]), {})


class GlobalModel(Protocol):
    """One global model."""

    def opinion(self, met: Met) -> Opinion:
        """What it makes of n moments; nan where it builds on a cloud that was not asked."""

    def logits(self, met: Met) -> F64:
        """The log-odds of that (n,) alone."""

    def learn(self, met: Met) -> None:
        """Know what came of n moments from now on."""

    def state(self) -> Rest:
        """What it has learned, at rest."""


class Regression:
    """A regression on `columns` of a design; those of them that are `ranking` make the score. It adds to the logits of
    `cloud` in what was met, or to the log-odds `odds` where there is no such name."""

    def __init__(self, columns: I64, ranking: I64, *, odds: float = 0.0, cloud: str = "") -> None:
        self._columns, self._odds, self._cloud = columns, odds, cloud
        self._ranking = np.isin(columns, ranking)
        self._weights = Ftrl()

    def opinion(self, met: Met) -> Opinion:
        """Before it learns from them."""
        mine, offset = met.at[:, self._columns], self._offset(met)
        score = offset + self._weights.logits(mine[:, self._ranking])
        return Opinion(score, score + self._weights.logits(mine[:, ~self._ranking]) + self._odds)

    def logits(self, met: Met) -> F64:
        """The log-odds of that alone."""
        return self.opinion(met).logit

    def learn(self, met: Met) -> None:
        """One step, on all of them at once."""
        known = np.flatnonzero(~np.isnan(self._offset(met)))
        if len(known):
            residual = met.seen.moments.label - self.opinion(met).probability
            self._weights.learn(met.at[known][:, self._columns], residual[known])

    def state(self) -> Rest:
        """The weights at rest."""
        return self._weights.state()

    def restore(self, state: Rest) -> None:
        """Have learned what was at rest in `state`."""
        self._weights.restore(state)

    def _offset(self, met: Met) -> F64:
        if not self._cloud:
            return np.zeros(len(met))
        return met.cloud.get(self._cloud, np.full(len(met), np.nan))


class Trees:
    """Boosted trees, trained again by a `hand` on the `newest` moments whenever enough of them are new.

    New trees are used once they are there, and waited for where the next are due: so they never know nothing of more
    than the newest two tenths of those moments.
    """

    def __init__(self, trees: Boosted, newest: Newest, hand: Hand) -> None:
        self._trees, self._newest, self._hand = trees, newest, hand
        self._new = 0  # moments since a training was due
        self._training: Future[Boosted] | None = None
        self._of: Mapping[int, Seen] = {}  # the blocks that it is of, by number

    def opinion(self, met: Met) -> Opinion:
        """From what is known by now."""
        return Opinion(*self._trees.opinion(met.seen.features))

    def logits(self, met: Met) -> F64:
        """The log-odds of that alone: where items are ranked trees are asked once instead of twice."""
        return self._trees.logits(met.seen.features)

    def learn(self, met: Met) -> None:
        """Keep them in mind, and train on them when it is time."""
        self._newest.add(met.seen)
        self._new += len(met)
        if self._new >= RENEWED * len(self._newest):
            self._new = 0
            self._use()
            if trainable(label_of(self._newest)):
                self._train(self._newest.blocks)
        if self._training and self._training.done():
            self._use()

    def state(self) -> Rest:
        """The trees at rest, and of which blocks others are being made."""
        return self._trees.state(), self._new, [*self._of]

    def blocks(self) -> dict[int, Rest]:
        """At rest, by number, what they are and will be trained on."""
        return {number: seen.state() for number, seen in {**self._of, **self._newest.blocks}.items()}

    @classmethod
    def restore(cls, state: Rest, blocks: Mapping[int, Seen], newest: Newest, hand: Hand) -> Self:
        """Those that were at rest in `state`, of these `blocks`; a training that had begun begins again."""
        trees, new, training = state
        restored = cls(Boosted.restore(trees), newest, hand)
        restored._new = new
        if training:
            restored._train({number: blocks[number] for number in training})
        return restored

    def _train(self, blocks: Mapping[int, Seen]) -> None:
        self._of, trees, seen = blocks, self._trees, blocks.values()
        self._training = self._hand(lambda look: trees.again(features_of(seen), label_of(seen), look))

    def _use(self) -> None:
        if self._training:
            self._trees, self._training, self._of = self._training.result(), None, {}
