"""The stack: one more head per device arm, in which the whole fleet says how to read the arm's other heads.

A personal head says what it would add to the cloud's logit. How much of that to believe, no device can find out from
its few events, and a blend can only choose between heads: it can neither add up what two of them know nor learn that
one is right the other way round (on news nobody reads again what they read, and `local-habit` believes they will).
So the fleet regresses labels on what heads add (stacking: Wolpert 1992, here with one regression for everybody):

    logit = cloud + level + Σ share(h) · added(h),      share ~ N(0, 1/`PRECISION`) for every head h of the arm

The logistic loss is taken to second order around cloud + level, as in `models.head_fit`. With p what cloud and level
expect of an event, x what the heads add (one column each) and y the label, shares are then

    (PRECISION · I + Σ p(1−p) x xᵀ)⁻¹ Σ (y − p) x

over all events of all devices: sums, which devices report like their losses. x and y are taken from their means within
each report: shares say how to rank what a user meets within some ten events. Otherwise they also learn who clicks more
and when, which the level is for, and which spoils rankings (ml-1m: .0010 GAUC lost, with it .0004).

Every arm has its own shares from the same sums, and what it gets from them depends on its own heads alone. In a blend
the stack is one head of several, so that `models.blend`'s bounds hold for it too. All of it is ours.
"""

from collections.abc import Mapping

import numpy as np

from models.arrays import F32, F64, I64
from models.blend import PERSONAL, STACKS, stacked_by

# Of the shares' prior; ours. 1 and 5 differ by .0015 GAUC on news and .0001 on other logs (first halves); an event of
# heads that add .3 says .2 · .3² = .02, so that 100 such events count as much as the prior.
PRECISION = 2.0
_LEAST_CURVATURE = 0.02  # as in `models.head_fit`
_ROW, _COLUMN = np.triu_indices(len(PERSONAL) + 1)
# What events teach is Σ p(1−p) x xᵀ, without what is below its diagonal, and Σ (y−p) x, with a 1 at the end of each x.
EVIDENCE = len(_ROW) + len(PERSONAL) + 1
_TRAVELS = np.dtype("<f4")
Shares = Mapping[str, Mapping[str, float]]  # by arm and head; what is missing is 0
_HEADS_OF = {arm: np.array([PERSONAL.index(head) for head in stacked_by(arm)]) for arm in STACKS}


class Stack:
    """The shares of G devices: `share` (G, stacks, personal heads), in the order of STACKS and PERSONAL."""

    def __init__(self, devices: int) -> None:
        """Nobody knows anything yet: stacks say what the cloud and the level say."""
        self.share: F64 = np.zeros((devices, len(STACKS), len(PERSONAL)))

    def grow(self, devices: int) -> None:
        """Add `devices` fresh devices at the end."""
        self.share = np.concatenate([self.share, Stack(devices).share])

    def configure(self, which: I64, shares: Shares) -> None:
        """Give devices `which` the shares of their task."""
        self.share[which] = [[shares.get(arm, {}).get(head, 0.0) for head in PERSONAL] for arm in STACKS]

    def added(self, which: I64, added: F32) -> F32:
        """What each stack adds (r, stacks) where the personal heads of devices `which` add `added` (r, heads).

        >>> stack = Stack(1)
        >>> stack.configure(np.array([0]), {"local": {"local": .5, "local-habit": -1.0}})
        >>> stack.added(np.array([0]), np.eye(1, len(PERSONAL), dtype=np.float32))[0].tolist()
        [0.5, 0.0, 0.0, 0.0, 0.0]
        """
        stacked: F64 = np.einsum("rah,rh->ra", self.share[which], added)
        return stacked.astype(np.float32)


def evidence(added: F32, expected: F64, label: F64) -> F64:
    """What each of n events teaches, (n, EVIDENCE): heads that added `added` (n, heads) where cloud and level expected
    `expected` (n,) and the label was `label` (n,).
    """
    x = np.concatenate([added, np.ones((len(added), 1))], axis=1)
    curvature = np.maximum(expected * (1 - expected), _LEAST_CURVATURE)[:, None]
    return np.concatenate([curvature * x[:, _ROW] * x[:, _COLUMN], (label - expected)[:, None] * x], axis=1)


def pack(total: F64) -> bytes:
    """Summed evidence (EVIDENCE,) as it travels: little-endian float32."""
    return bytes(total.astype(_TRAVELS).tobytes())


def unpack(raw: bytes) -> F64 | None:
    """The evidence in `raw`; None where it is none.

    >>> len(unpack(pack(np.ones(EVIDENCE)))) == EVIDENCE, unpack(b"123")
    (True, None)
    """
    if len(raw) != EVIDENCE * _TRAVELS.itemsize:
        return None
    total = np.frombuffer(raw, _TRAVELS).astype(np.float64)
    return total if np.isfinite(total).all() else None


def within(reported: F64) -> tuple[F64, F64]:
    """The normal equations of one report, (heads, heads) and (heads,), from its summed evidence (EVIDENCE,), with the
    means of x and y taken out: a report has an intercept of its own.
    """
    gram = np.zeros((len(PERSONAL) + 1,) * 2)
    gram[_ROW, _COLUMN] = gram[_COLUMN, _ROW] = reported[: len(_ROW)]
    pull = reported[len(_ROW) :]
    mean = gram[-1, :-1] / max(gram[-1, -1], _LEAST_CURVATURE)
    return gram[:-1, :-1] - np.outer(mean, gram[-1, :-1]), pull[:-1] - mean * pull[-1]


def learned_shares(gram: F64, pull: F64) -> dict[str, dict[str, float]]:
    """The shares that the sums of all normal equations, (heads, heads) and (heads,), speak for.

    >>> learned_shares(np.zeros((len(PERSONAL),) * 2), np.zeros(len(PERSONAL)))["local"]
    {'local': 0.0, 'local-habit': 0.0}
    """
    return {arm: _solved(gram, pull, heads) for arm, heads in _HEADS_OF.items()}


def _solved(gram: F64, pull: F64, heads: I64) -> dict[str, float]:
    share = np.linalg.solve(gram[np.ix_(heads, heads)] + PRECISION * np.eye(len(heads)), pull[heads])
    return {PERSONAL[head]: value for head, value in zip(heads.tolist(), share.round(3).tolist(), strict=True)}
