"""Repeats: what having taken an item before says of taking it again, one answer from the whole fleet.

People buy again what they bought and don't read again what they read. A cloud model that pools histories can't tell, a
personal head would have to find it out from its few events, item by item; so the fleet does, by one regression for all:

    logit = cloud + bias + Σ weight(t) · trait(t),      weight ~ N(0, 1/`PRECISION`) for every trait t

of an item that the device's user has taken (the traits of all others are 0, and weights say nothing):

    taken   1
    times   ln(1 + positives of the item)
    since   ln(1 + days since the newest of them)
    cloud   the cloud's logit: what it thinks of an item matters less, or more, once the user knows it better

Logarithms because how long ago is what tells most, and works by factors rather than by steps (Anderson et al. 2014,
"The dynamics of repeat consumption": a power law with a cut-off). The regression is one of normal equations that
devices sum and report (`models.normal_equations`), p being what cloud and bias expect. All personal heads add to what
cloud, user bias and repeats say, in fitting as in predicting.
"""

from collections.abc import Mapping

import numpy as np

from models.normal_equations import Regression
from wire.arrays import F32, F64, I64, U8, U32

TRAITS = ("taken", "times", "since", "cloud")
PRECISION = 2.0  # of the weights' prior: 200 events of items taken before, of p(1−p) = .2, count 20 times as much
REGRESSION = Regression(len(TRAITS))
_DAY_S = 86_400


def traits(times: U8, since_s: U32, logit: F32) -> F32:
    """Traits (n, traits) of events of which the cloud thinks `logit`, and before which `times` positives of the item
    came, the newest `since_s` seconds before.

    >>> print(traits(np.array([0, 1], np.uint8), np.array([0, 86_400], np.uint32), np.ones(2, np.float32)).round(2))
    [[0.   0.   0.   0.  ]
     [1.   0.69 0.69 1.  ]]
    """
    often, long_ago = np.log1p(times.astype(np.float32)), np.log1p(since_s / _DAY_S)
    known = np.stack([np.ones(len(times)), often, long_ago, logit], axis=1)
    return (known * (times > 0)[:, None]).astype(np.float32)


class Repeats:
    """The weights of G devices, (G, traits), in the order of TRAITS."""

    def __init__(self, devices: int) -> None:
        """Nobody knows anything yet: repeats say nothing."""
        self.weight: F64 = np.zeros((devices, len(TRAITS)))

    def grow(self, devices: int) -> None:
        """Add `devices` fresh devices at the end."""
        self.weight = np.concatenate([self.weight, Repeats(devices).weight])

    def configure(self, which: I64, weights: Mapping[str, float]) -> None:
        """Give devices `which` the weights of their task."""
        self.weight[which] = _in_order(weights)

    def added(self, which: I64, trait: F32) -> F32:
        """What repeats add (n,) to the logits of events of devices `which` with traits `trait` (n, traits)."""
        added: F64 = np.einsum("nt,nt->n", self.weight[which], trait)
        return added.astype(np.float32)


def with_repeats(logit: F32, times: U8, since_s: U32, weights: Mapping[str, float]) -> F32:
    """The cloud's logits (n,) and what repeats add to them by the weights of one task; the rest as in `traits`.

    >>> with_repeats(np.ones(2, np.float32), np.array([0, 1], np.uint8), np.zeros(2, np.uint32), {"taken": -2}).tolist()
    [1.0, -1.0]
    """
    added: F32 = (traits(times, since_s, logit) @ _in_order(weights)).astype(np.float32)
    return logit + added


def _in_order(weights: Mapping[str, float]) -> F64:
    """Weights (traits,) in the order of TRAITS; what is missing is 0."""
    return np.array([weights.get(name, 0.0) for name in TRAITS])


def learned_weights(equations: F64) -> dict[str, float]:
    """The weights that the sum of all normal equations (REGRESSION.width,) speaks for.

    >>> learned_weights(np.zeros(REGRESSION.width))
    {'taken': 0.0, 'times': 0.0, 'since': 0.0, 'cloud': 0.0}
    """
    weight = REGRESSION.solved(equations, PRECISION)
    return dict(zip(TRAITS, weight.round(3).tolist(), strict=True))
