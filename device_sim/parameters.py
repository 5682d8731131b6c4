"""What one device has learned for itself: its own, wherever its store keeps it meanwhile."""

import msgspec
import numpy as np

from models.blend import HEADS
from models.cloud_model import DIM
from models.packed_heads import NO_HEADS, PackedHeads
from models.prior_variance import KINDS
from models.user_bias import UserBias
from wire.arrays import F64


class Parameters(msgspec.Struct, frozen=True, gc=False):
    """Personal heads in use, by their numbers in PERSONAL; `loss` (heads,) is the discounted log-loss that its
    blend weighs each head by, `user_bias` (6,) a row of `UserBias.state`, `factors` (kinds,) those of the prior
    variances that the head `LOCAL` was made with. All together nothing, unless given.
    """

    heads: PackedHeads = NO_HEADS
    loss: F64 = msgspec.field(default_factory=lambda: np.zeros(len(HEADS)))
    user_bias: F64 = msgspec.field(default_factory=lambda: UserBias(1).state[0])
    factors: F64 = msgspec.field(default_factory=lambda: np.ones(len(KINDS)))

    def heads_state(self) -> "HeadsState":
        """What a training changes, at rest."""
        heads = self.heads
        return HeadsState(*(a.tobytes() for a in (heads.head, heads.taste, heads.keys, heads.values, self.factors)))

    def weights_state(self) -> "WeightsState":
        """What every event changes, at rest."""
        return WeightsState(self.loss.tobytes(), self.user_bias.tobytes())

    @classmethod
    def restore(cls, heads: "HeadsState", weights: "WeightsState") -> "Parameters":
        """The parameters that were at rest."""
        head = np.frombuffer(heads.head, np.int64)
        taste = np.frombuffer(heads.taste, np.float32).reshape(len(head), DIM)
        keys = np.frombuffer(heads.keys, np.uint64)
        values = np.frombuffer(heads.values, np.float32).reshape(len(keys), len(head))
        return cls(
            PackedHeads(head, taste, keys, values),
            np.frombuffer(weights.loss),
            np.frombuffer(weights.user_bias),
            np.frombuffer(heads.factors),
        )


class HeadsState(msgspec.Struct, frozen=True, array_like=True):
    """Personal heads at rest: the arrays of `PackedHeads`, as little-endian bytes."""

    head: bytes
    taste: bytes
    keys: bytes
    values: bytes
    factors: bytes


class WeightsState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Blend and user bias at rest, as little-endian bytes."""

    loss: bytes
    user_bias: bytes
