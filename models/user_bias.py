"""User bias: how much more, or less, a device's user clicks than the cloud head expects, as one number per device.

Personal heads that learn the bias as well move it at every retraining, and what moves a user's scores up and down
over time spoils their ranking. So heads leave it out (`models.head_fit`), and it is kept apart, where it can be as
slow as it has to be.

It is an offset b to the logit with prior N(0, `SPREAD`²), learned from each own event by one Newton step of the
discounted logistic log-likelihood (an online Laplace approximation). An event is predicted with what strictly earlier
events taught: rows of one moment never see each other, so a sampled negative can't be told by its positive.
"""

from typing import NamedTuple

import numpy as np

from models.cloud_model import sigmoid
from wire.arrays import F32, F64, I64, U8

# More wins AUC, by learning who is generous sooner, and costs ranking within a user.
SPREAD = 0.2
DISCOUNT = 0.98  # per event
_PRIOR = 1 / SPREAD**2


class _Columns(NamedTuple):
    """Places in a row of the state."""

    offset: int = 0
    precision: int = 1
    moment: int = 2  # event time of the newest events, which are learned once a later one comes
    events: int = 3  # of that moment
    gradient: int = 4
    curvature: int = 5


_AT = _Columns()


class UserBias:
    """User biases of G devices; `state` (G, 6) is all there is to keep."""

    def __init__(self, devices: int) -> None:
        self.state: F64 = np.zeros((devices, len(_AT)))
        self.state[:, _AT.precision] = _PRIOR

    def __len__(self) -> int:
        return len(self.state)

    def grow(self, devices: int) -> None:
        """Add `devices` fresh devices at the end."""
        self.state = np.concatenate([self.state, UserBias(devices).state])

    def before(self, which: I64, timestamp: I64) -> F64:
        """The offsets (r,) of devices `which` (distinct) for events at `timestamp`: what earlier moments taught."""
        state = self.state[which]
        passed = timestamp > state[:, _AT.moment]
        self.state[which[passed]] = _learned(state[passed])
        offset: F64 = self.state[which, _AT.offset]
        return offset

    def learn(self, which: I64, timestamp: I64, cloud_logit: F32 | F64, label: U8 | F64) -> None:
        """Take in one event of each of devices `which` (distinct), after `before` was asked for it."""
        state = self.state[which]
        expected = sigmoid((cloud_logit + state[:, _AT.offset]).astype(np.float32)).astype(np.float64)
        state[:, _AT.moment] = np.maximum(state[:, _AT.moment], timestamp)
        state[:, _AT.events] += 1
        state[:, _AT.gradient] += label - expected
        state[:, _AT.curvature] += expected * (1 - expected)
        self.state[which] = state


def _learned(state: F64) -> F64:
    """The states after a Newton step on the events of their moment; what was known before fades towards the prior."""
    state = state.copy()
    kept = DISCOUNT ** state[:, _AT.events]
    precision = kept * state[:, _AT.precision] + (1 - kept) * _PRIOR + state[:, _AT.curvature]
    step = (state[:, _AT.gradient] - (1 - kept) * _PRIOR * state[:, _AT.offset]) / precision
    state[:, _AT.offset] += step
    state[:, _AT.precision] = precision
    state[:, [_AT.events, _AT.gradient, _AT.curvature]] = 0
    return state
