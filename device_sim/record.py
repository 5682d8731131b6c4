"""What a fleet leaves behind of its devices' work: predictions, and what each retraining came to.

Whoever reads it later does without torch, whose import takes ten seconds and 500 MB.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from wire.arrays import F64, I64, U8

if TYPE_CHECKING:
    from device_sim.instruction import Predict, Train
    from device_sim.parameter_store import Predicted, Rows
    from device_sim.training import DeviceResult

PREDICTIONS, TRAININGS = "predictions.parquet", "trainings.jsonl"  # files in a fleet's folder
PARTS = "predictions"  # beside them: the predictions of a fleet that goes on
STATE = "fleet.sqlite"  # in the folder of its state


@dataclass(frozen=True, slots=True)
class Predictions:
    """n own events as every arm predicted them, columns in the order of `wire.task.ARMS`: `arms` are probabilities,
    `scores` what ranks the items that a user meets at one moment, (n, 0) in a fleet that makes none."""

    user_id: list[str]
    event_id: list[str]
    timestamp: I64
    label: U8
    version: I64
    arms: F64  # (n, arms)
    scores: F64  # (n, arms)

    @classmethod
    def of(
        cls, asked: Sequence[tuple[str, "Predict"]], versions: Sequence[int], rows: "Rows", predicted: "Predicted"
    ) -> Self:
        """What was `predicted` for the `rows` of events that devices asked about, of cloud models of these versions."""
        return cls(
            user_id=[user_id for user_id, _ in asked],
            event_id=[event.event_id for _, event in asked],
            timestamp=rows.timestamp,
            label=rows.label,
            version=np.array(versions, np.int64),
            arms=predicted.arms,
            scores=predicted.scores,
        )


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

    @classmethod
    def of(cls, user_id: str, train: "Train", came: "DeviceResult", bytes_stored: int) -> Self:
        """What `came` of the training that a device asked for."""
        return cls(
            user_id=user_id,
            version=train.model.version,
            batch_seq=train.batch.batch_seq if train.batch else -1,
            compute_ms=round(came.compute_ms, 3),
            own_rows=len(train.rows),
            accepted=came.accepted,
            bytes_stored=bytes_stored,
        )


def records_in(run: Path) -> Path:
    """Where in a run's folder a fleet's records lie: in `fleet`, as a demo has them, or beside a recording."""
    return next((at for at in (run / "fleet", run) if (at / PREDICTIONS).exists()), run / "fleet")
