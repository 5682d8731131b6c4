"""The cloud head: the last MLP of the cloud model, from what it sees of a sample to a logit."""

from dataclasses import dataclass

import numpy as np

from wire.arrays import F32

HIDDEN = 32


@dataclass(frozen=True, slots=True)
class HeadParams:
    """The MLP 3d → 32 → 1 that turns features into a logit."""

    w1: F32  # (3d, 32)
    b1: F32  # (32,)
    w2: F32  # (32,)
    b2: F32  # (1,)

    def flat(self) -> F32:
        """All parameters in one row, (size,)."""
        return np.concatenate([self.w1.ravel(), self.b1, self.w2, self.b2])
