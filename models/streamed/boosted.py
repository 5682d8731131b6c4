"""Boosted: gradient-boosted trees on streamed features: what a service that has these would likely serve.

LightGBM (Ke et al. 2017, "LightGBM: A Highly Efficient Gradient Boosting Decision Tree"). Features go on living between
two trainings: trees know what is popular and who took what by now, and judge it by the rules of what they learned from.
"""

from collections.abc import Callable, Sequence, Set
from itertools import pairwise
from typing import Any, Self

import lightgbm as lgb
import numpy as np

from models.streamed.rest import Rest
from wire.arrays import F32, F64, U8

_LEAVES, _LEAF_ROWS = 15, 100  # half of LightGBM's 31 and five times its 20: whether somebody clicks is mostly noise
_TAIL = 0.2  # of the moments, the newest: how many rounds are best shows on what comes after, as in the stream
LEAST = round(_LEAVES * _LEAF_ROWS / (1 - _TAIL))  # moments: of fewer not even the first tree gets all of its leaves
_ROUNDS, _PATIENCE = 1000, 50  # at most, and without a gain; at a rate of .05 one to four hundred are customary
_THREADS = 1
_SETTINGS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": _LEAVES,
    "min_data_in_leaf": _LEAF_ROWS,
    "deterministic": True,  # the same trees in every run, which by LightGBM's documents takes the next two as well
    "force_row_wise": True,
    "num_threads": _THREADS,
    "verbosity": -1,
}
_MIXED = "category_rate"  # starts from `user_rate`, so would tell that where it is held
_PARTS = 4  # of an initial part: the first has no trees, and all together cost 1.5 trainings of the whole


def _nothing() -> None:
    """After a round."""


class Boosted:
    """As many `rounds` of trees as said, on `columns` of `features` (n, f); where items are ranked those `held` have
    their medians instead of their values."""

    def __init__(
        self,
        features: F32,
        label: U8,
        *,
        columns: Sequence[int],
        held: Sequence[int],
        rounds: int,
        seed: int,
        after_round: Callable[[], None] = _nothing,
    ) -> None:
        settings = _SETTINGS | {"seed": seed}
        data = lgb.Dataset(features[:, columns], label, params=settings)
        self._trees = lgb.train(settings, data, rounds, callbacks=[lambda _: after_round()])
        self._held = dict(zip(held, np.median(features[:, held], axis=0).tolist(), strict=True))
        self._columns, self._rounds, self._seed = columns, rounds, seed

    def again(self, features: F32, label: U8, after_round: Callable[[], None]) -> "Boosted":
        """As many trees, of other moments; what `after_round` raises ends it."""
        return Boosted(
            features,
            label,
            columns=self._columns,
            held=[*self._held],
            rounds=self._rounds,
            seed=self._seed,
            after_round=after_round,
        )

    def state(self) -> Rest:
        """The trees at rest, as LightGBM writes models down: to the last digit."""
        return self._trees.model_to_string(), self._columns, [*self._held.items()], self._rounds, self._seed

    @classmethod
    def restore(cls, state: Rest) -> Self:
        """Those that were at rest in `state`."""
        boosted = cls.__new__(cls)
        written, columns, held, boosted._rounds, boosted._seed = state
        boosted._trees = lgb.Booster(params=_SETTINGS, model_str=written)
        boosted._columns, boosted._held = columns, dict(held)
        return boosted

    def logits(self, features: F32) -> F64:
        """Log-odds (n,) of moments with `features` (n, f)."""
        # How many threads LightGBM has is one number for the whole process, so for who trains beside this too.
        odds = self._trees.predict(features[:, self._columns], raw_score=True, num_threads=_THREADS)
        return np.asarray(odds, np.float64)

    def opinion(self, features: F32) -> tuple[F64, F64]:
        """What ranks moments (n,), and their log-odds (n,)."""
        odds = self.logits(features)
        if not self._held:
            return odds, odds
        features = features.copy()
        for column, value in self._held.items():
            features[:, column] = value
        return self.logits(features), odds


def train(features: F32, label: U8, names: Sequence[str], *, held: Set[str], seed: int) -> Boosted | None:
    """Trees for `features` (n, f) of moments in event-time order; None where they are not `trainable`.

    Features that are `held` (`Streamed.held`) have their medians in the score.
    """
    if not trainable(label):
        return None
    columns = [n for n, name in enumerate(names) if name != _MIXED]
    rounds = _best_rounds(features[:, columns], label, _cut(label), _SETTINGS | {"seed": seed})
    at = [n for n in columns if names[n] in held]
    return Boosted(features, label, columns=columns, held=at, rounds=rounds, seed=seed)


def trainable(label: U8) -> bool:
    """Whether there are trees for moments with these labels (n,): `LEAST` of them, and both labels early and late."""
    cut = _cut(label)
    return len(label) >= LEAST and all(0 < part.mean() < 1 for part in (label[:cut], label[cut:]))


def logits_before(features: F32, label: U8, names: Sequence[str], *, held: Set[str], seed: int) -> F64:
    """Log-odds (n,) of moments as in `train`, each by trees that learned from earlier parts alone: trees know by heart
    what they learned from. nan in the first part, and where the parts before were too few.
    """
    odds = np.full(len(label), np.nan)
    for start, end in pairwise(np.linspace(0, len(label), _PARTS + 1).astype(int)[1:].tolist()):
        trees = train(features[:start], label[:start], names, held=held, seed=seed)
        if trees is not None:
            odds[start:end] = trees.logits(features[start:end])
    return odds


def _cut(label: U8) -> int:
    """Where the newest begin."""
    return round(len(label) * (1 - _TAIL))


def _best_rounds(features: F32, label: U8, cut: int, settings: dict[str, Any]) -> int:
    """With how many rounds trees of what came before `cut` predict best what came after."""
    before = lgb.Dataset(features[:cut], label[:cut], params=settings)
    after = lgb.Dataset(features[cut:], label[cut:], reference=before, params=settings)
    stop = lgb.early_stopping(_PATIENCE, verbose=False)
    return lgb.train(settings, before, _ROUNDS, valid_sets=[after], callbacks=[stop]).best_iteration
