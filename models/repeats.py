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
"The dynamics of repeat consumption": a power law with a cut-off). The logistic loss is taken to second order around
cloud + bias, as in `models.head_fit`. With p what these two expect of an event, x its traits and y its label, weights
are then

    (PRECISION · I + Σ p(1−p) x xᵀ)⁻¹ Σ (y − p) x

over all events of all devices: sums, which devices report like their losses. x and y are taken from their means within
each interval from one training of a device to its next: weights say how to rank what a user meets within some ten
events. Otherwise they also learn who clicks more and when, which the user bias is for. A device takes the means out
itself, so that it can add up its intervals. All personal heads add to what cloud, user bias and repeats say, in
fitting as in predicting.
"""

from collections.abc import Mapping

import numpy as np

from wire.arrays import F32, F64, I64, U8, U32

TRAITS = ("taken", "times", "since", "cloud")
PRECISION = 2.0  # of the weights' prior: 200 events of items taken before, of p(1−p) = .2, count 20 times as much
_DAY_S = 86_400
_LEAST_CURVATURE = 0.02  # as in `models.head_fit`
_ROW, _COLUMN = np.triu_indices(len(TRAITS) + 1)
# What events teach is Σ p(1−p) x xᵀ, without what is below its diagonal, and Σ (y−p) x, with a 1 at the end of each x.
EVIDENCE = len(_ROW) + len(TRAITS) + 1
_EQUATION = np.triu_indices(len(TRAITS))  # of a matrix (traits, traits) that is symmetric
EQUATIONS = len(_EQUATION[0]) + len(TRAITS)
_TRAVELS = np.dtype("<f8")


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


def evidence(trait: F32, expected: F64, label: F64) -> F64:
    """What each of n events teaches, (n, EVIDENCE), where cloud and bias expected `expected` (n,) of traits `trait`
    (n, traits) and the label was `label` (n,).
    """
    x = np.concatenate([trait, np.ones((len(trait), 1))], axis=1)
    curvature = np.maximum(expected * (1 - expected), _LEAST_CURVATURE)[:, None]
    return np.concatenate([curvature * x[:, _ROW] * x[:, _COLUMN], (label - expected)[:, None] * x], axis=1)


def within(taught: F64) -> F64:
    """The normal equations (EQUATIONS,) of one interval from its summed evidence (EVIDENCE,), with the means of x and y
    taken out: an interval has an intercept of its own.
    """
    gram = np.zeros((len(TRAITS) + 1,) * 2)
    gram[_ROW, _COLUMN] = gram[_COLUMN, _ROW] = taught[: len(_ROW)]
    pull = taught[len(_ROW) :]
    mean = gram[-1, :-1] / max(gram[-1, -1], _LEAST_CURVATURE)
    centred = gram[:-1, :-1] - np.outer(mean, gram[-1, :-1])
    return np.concatenate([centred[_EQUATION], pull[:-1] - mean * pull[-1]])


def pack(equations: F64) -> bytes:
    """Summed normal equations (EQUATIONS,) as they travel: little-endian float64."""
    return bytes(equations.astype(_TRAVELS).tobytes())


def unpack(raw: bytes) -> F64 | None:
    """The normal equations in `raw`; None where it is none.

    >>> len(unpack(pack(np.ones(EQUATIONS)))) == EQUATIONS, unpack(b"123")
    (True, None)
    """
    if len(raw) != EQUATIONS * _TRAVELS.itemsize:
        return None
    equations = np.frombuffer(raw, _TRAVELS).astype(np.float64)
    return equations if np.isfinite(equations).all() else None


def learned_weights(equations: F64) -> dict[str, float]:
    """The weights that the sum of all normal equations (EQUATIONS,) speaks for.

    >>> learned_weights(np.zeros(EQUATIONS))
    {'taken': 0.0, 'times': 0.0, 'since': 0.0, 'cloud': 0.0}
    """
    gram = np.zeros((len(TRAITS),) * 2)
    gram[_EQUATION] = gram.T[_EQUATION] = equations[: -len(TRAITS)]
    # By eigenvalues, none below 0: a device may report what no events make, and a singular matrix must end nothing.
    value, vector = np.linalg.eigh(gram)
    weight = vector @ (vector.T @ equations[-len(TRAITS) :] / (np.maximum(value, 0) + PRECISION))
    return dict(zip(TRAITS, weight.round(3).tolist(), strict=True))
