"""What one device has learned for itself: its own, wherever its store keeps it meanwhile."""

from dataclasses import dataclass, field

import msgspec
import numpy as np

from models.blend import HEADS
from models.cloud_model import DIM
from models.heads import Heads
from models.prior_variance import KINDS
from models.user_bias import UserBias
from wire.arrays import F64, I64


@dataclass(frozen=True, slots=True)
class Parameters:
    """Personal heads in use, `heads[i]` being PERSONAL[head[i]]; `loss` (heads,) is the discounted log-loss that its
    blend weighs each head by, `user_bias` (6,) a row of `UserBias.state`, `factors` (kinds,) those of the prior
    variances that the head `LOCAL` was made with. All together nothing, unless given.
    """

    head: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    heads: Heads = field(default_factory=lambda: Heads.none(0))
    loss: F64 = field(default_factory=lambda: np.zeros(len(HEADS)))
    user_bias: F64 = field(default_factory=lambda: UserBias(1).state[0])
    factors: F64 = field(default_factory=lambda: np.ones(len(KINDS)))

    def state(self) -> "tuple[HeadsState, WeightsState]":
        """The parameters at rest: what a training changes, and what every event does."""
        heads = self.heads
        arrays = self.head, heads.taste, heads.bias_keys, heads.bias_values, self.factors
        return HeadsState(*(a.tobytes() for a in arrays)), WeightsState(self.loss.tobytes(), self.user_bias.tobytes())

    @classmethod
    def restore(cls, heads: "HeadsState", weights: "WeightsState") -> "Parameters":
        """The parameters that were at rest."""
        head = np.frombuffer(heads.head, np.int64)
        taste = np.frombuffer(heads.taste, np.float32).reshape(len(head), DIM)
        keys, values = np.frombuffer(heads.bias_keys, np.uint64), np.frombuffer(heads.bias_values, np.float32)
        width = len(keys) // max(len(head), 1)
        shape = len(head), width
        return cls(
            head,
            Heads(taste, keys.reshape(shape), values.reshape(shape)),
            np.frombuffer(weights.loss),
            np.frombuffer(weights.user_bias),
            np.frombuffer(heads.factors),
        )


class HeadsState(msgspec.Struct, frozen=True, array_like=True):
    """Personal heads at rest: their numbers in PERSONAL and their arrays, as little-endian bytes."""

    head: bytes
    taste: bytes
    bias_keys: bytes
    bias_values: bytes
    factors: bytes


class WeightsState(msgspec.Struct, frozen=True, array_like=True):
    """Blend and user bias at rest, as little-endian bytes."""

    loss: bytes
    user_bias: bytes
