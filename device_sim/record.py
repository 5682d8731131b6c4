"""What a fleet leaves behind of its devices' work: predictions, and what each retraining came to."""

from dataclasses import dataclass

from wire.arrays import F64, I64, U8


@dataclass(frozen=True, slots=True)
class Predictions:
    """n own events as every arm predicted them, columns in the order of `wire.task.ARMS`."""

    user_id: list[str]
    event_id: list[str]
    timestamp: I64
    label: U8
    version: I64
    arms: F64  # (n, arms)


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """What one retraining of one device came to."""

    user_id: str
    version: int
    batch_seq: int
    compute_ms: float
    own_rows: int
    accepted: dict[str, bool]
    bytes_stored: int
