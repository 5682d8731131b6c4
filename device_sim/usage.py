"""What a device would report of itself, in sums since its life began: never reset, silent about what its user did."""

from collections import Counter
from collections.abc import Mapping

import msgspec
import numpy as np

from models.blend import HEADS
from models.evidence import EQUATIONS, EVIDENCE, INTERVAL, within
from models.gain import Interval
from wire.arrays import F64
from wire.outcome import Batches, Trainings


class UsageState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The sums at rest; `sums` are losses, equations, evidence, gain and interval, one after the other."""

    boot: int
    sequence: int
    answered_seq: int
    bytes_up: int
    bytes_down: int
    events: int
    compute_ms: float
    batches: dict[Batches, int]
    trainings: dict[Trainings, int]
    passed: dict[str, int]
    sums: bytes


class Usage:
    """Sums of the life `boot`, whose newest report was number `sequence`."""

    __slots__ = (
        "_evidence",
        "_interval",
        "answered_seq",
        "batches",
        "boot",
        "bytes_down",
        "bytes_up",
        "compute_ms",
        "equations",
        "events",
        "gain",
        "losses",
        "passed",
        "sequence",
        "trainings",
    )

    def __init__(self, boot: int = 0, sequence: int = 0) -> None:
        self.boot, self.sequence, self.answered_seq = boot, sequence, -1
        self.bytes_up = self.bytes_down = self.events = 0
        self.compute_ms = 0.0
        self.batches: Counter[Batches] = Counter()
        self.trainings: Counter[Trainings] = Counter()
        self.passed: Counter[str] = Counter()
        self.losses: F64 = np.zeros(len(HEADS))
        self.equations: F64 = np.zeros(EQUATIONS)  # of all intervals that are over
        self._evidence: F64 = np.zeros(EVIDENCE)  # of the interval that is not
        self.gain: F64 = np.zeros(3)  # as in `wire.telemetry.Gain`
        self._interval = Interval()

    def lost(self, losses: F64, evidence: F64, lean: tuple[float, float] | None = None) -> float | None:
        """Every head was charged (heads,) for one own event, which taught (EVIDENCE,) the fleet, and had this residual
        and lean, if there had been a training; returns what personal heads gained, if that can be said."""
        self.losses += losses
        gained = self._interval.gain(*lean) if lean else None
        if gained is not None:
            self.gain[0] += 1
            self.gain[1] += gained
            self.gain[2] += gained**2
        self._evidence += evidence
        self.events += 1
        if self.events % INTERVAL == 0:
            self.equations += within(self._evidence)
            self._evidence, self._interval = np.zeros(EVIDENCE), Interval()
        return gained

    def answered(self, outcome: Batches, seq: int = -1) -> None:
        """A batch came, number `seq` if that is known and is to be answered for."""
        self.batches[outcome] += 1
        self.answered_seq = max(self.answered_seq, seq)

    def trained(self, outcome: Trainings, compute_ms: float = 0.0, accepted: Mapping[str, bool] | None = None) -> None:
        """A training ended, with `accepted` saying of each head whether it passed."""
        self.trainings[outcome] += 1
        self.compute_ms += compute_ms
        self.passed.update({head: int(good) for head, good in (accepted or {}).items()})

    def next_sequence(self) -> int:
        """The number of the report that is made now."""
        self.sequence += 1
        return self.sequence

    def head_log_loss(self) -> dict[str, float]:
        """Summed log-loss in nats by head."""
        return dict(zip(HEADS, self.losses.tolist(), strict=True))

    def state(self) -> UsageState:
        """The sums at rest."""
        interval = self._interval.events, self._interval.residual, self._interval.lean
        return UsageState(
            boot=self.boot,
            sequence=self.sequence,
            answered_seq=self.answered_seq,
            bytes_up=self.bytes_up,
            bytes_down=self.bytes_down,
            events=self.events,
            compute_ms=self.compute_ms,
            batches=dict(self.batches),
            trainings=dict(self.trainings),
            passed=dict(self.passed),
            sums=np.concatenate([self.losses, self.equations, self._evidence, self.gain, interval]).tobytes(),
        )

    @classmethod
    def restore(cls, state: UsageState, least: int = 0) -> "Usage":
        """The sums that were at rest in `state`.

        Its reports count on from `least` at least: later ones than `state` knows may have been sent before a kill.
        """
        usage = cls(state.boot, max(state.sequence, least))
        usage.answered_seq = state.answered_seq
        usage.bytes_up, usage.bytes_down, usage.events = state.bytes_up, state.bytes_down, state.events
        usage.compute_ms = state.compute_ms
        usage.batches.update(state.batches)
        usage.trainings.update(state.trainings)
        usage.passed.update(state.passed)
        ends = np.cumsum([len(HEADS), EQUATIONS, EVIDENCE, 3])
        parts = np.split(np.frombuffer(state.sums).copy(), ends)
        usage.losses, usage.equations, usage._evidence, usage.gain, interval = parts
        usage._interval = Interval(*interval.tolist())
        return usage
