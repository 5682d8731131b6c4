"""What a device would report of itself: bytes moved, and each head's summed log-loss since the last report."""

import numpy as np

from models.arrays import F32, F64
from models.blend import HEADS


class Usage:
    """Sums since the last report; nothing here says what the user did."""

    __slots__ = ("bytes_down", "bytes_up", "events", "losses")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """A report went up: count from zero."""
        self.bytes_up = self.bytes_down = self.events = 0
        self.losses: F64 = np.zeros(len(HEADS))

    def lost(self, losses: F32) -> None:
        """Every head was charged (heads,) for one own event."""
        self.losses += losses
        self.events += 1

    def head_log_loss(self) -> dict[str, float]:
        """Summed log-loss in nats by head."""
        return dict(zip(HEADS, self.losses.tolist(), strict=True))
