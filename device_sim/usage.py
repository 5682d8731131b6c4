"""What a device would report of itself: bytes moved, and what its events said of heads and repeats since then."""

import numpy as np

from models.blend import HEADS
from models.repeats import EVIDENCE
from wire.arrays import F64


class Usage:
    """Sums since the last report, and the bytes reported before it; nothing here says what the user did."""

    __slots__ = ("bytes_down", "bytes_up", "events", "evidence", "losses", "reported_down", "reported_up")

    def __init__(self) -> None:
        self.reported_up = self.reported_down = 0
        self.bytes_up = self.bytes_down = self.events = 0
        self.losses, self.evidence = _nothing()

    def reset(self) -> None:
        """A report went up: count from zero."""
        self.reported_up += self.bytes_up
        self.reported_down += self.bytes_down
        self.bytes_up = self.bytes_down = self.events = 0
        self.losses, self.evidence = _nothing()

    def lost(self, losses: F64, evidence: F64) -> None:
        """Every head was charged (heads,) for one own event, which taught (EVIDENCE,) about repeats."""
        self.losses += losses
        self.evidence += evidence
        self.events += 1

    def head_log_loss(self) -> dict[str, float]:
        """Summed log-loss in nats by head."""
        return dict(zip(HEADS, self.losses.tolist(), strict=True))


def _nothing() -> tuple[F64, F64]:
    return np.zeros(len(HEADS)), np.zeros(EVIDENCE)
