"""The scoreboard: every prediction and every training on disk, and how the arms compare so far.

Records are written as parts. A resumed fleet throws away what was written after its last snapshot and makes it
again, so that no event counts twice. Of records that are not its own it throws away nothing: a number, in the folder
and in the fleet's state, says whose they are.
"""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import structlog
from prometheus_client import Gauge

from device_sim.lately import Lately
from device_sim.record import PARTS, PREDICTIONS, TRAININGS, Predictions, TrainingRecord
from models.scores import auc, ece, gauc, logloss
from monitor.metrics import Metrics
from wire.arrays import F32, U8, U64
from wire.durable import make_folder, settle, sync, told, write_durably, write_frame
from wire.errors import InputError
from wire.ids import user_keys
from wire.task import ARMS

_DIGITS = 5  # of a figure that is told each second
_RUN = "run"
PART_ROWS = 50_000  # a part is rewritten until it has so many rows
SCORED = 1_000_000  # predictions, 33 MB: of twice as many the older half no longer counts for the scores

log = structlog.get_logger(__name__)


class Scores:
    """n predictions in columns, for scoring: user keys, labels, and arms (n, arms), of which those of `names` count."""

    def __init__(self, user: U64, label: U8, arms: F32, names: Sequence[str]) -> None:
        self.user, self.label = user, label
        self.arms = {arm: arms[:, ARMS.index(arm)] for arm in names}

    def __len__(self) -> int:
        return len(self.label)

    def ranking(self) -> dict[str, tuple[float, float]]:
        """AUC and GAUC of each arm; NaN where labels do not allow one."""
        each = self.arms.items()
        return {arm: (auc(self.label, score), gauc(self.user, self.label, score)) for arm, score in each}

    def show(self, metrics: Metrics) -> None:
        """Tell how the arms compare, so far and lately, and no longer of others."""
        for gauge in (metrics.arm_auc, metrics.arm_gauc, *_lately(metrics)):
            for arm in set(ARMS).difference(self.arms):
                gauge.remove_by_labels({"arm": arm})
        for arm, (arm_auc, arm_gauc) in self.ranking().items():
            metrics.arm_auc.labels(arm).set(round(arm_auc, _DIGITS))
            metrics.arm_gauc.labels(arm).set(round(arm_gauc, _DIGITS))
        lately = Lately(self.user, self.label, self.arms)
        for gain in lately.gains():
            for bound in ("low", "mean", "high"):
                metrics.lately_gain.labels(gain.arm, gain.devices, bound).set(round(getattr(gain, bound), _DIGITS))
            metrics.lately_harmed.labels(gain.arm, gain.devices).set(round(gain.harmed, _DIGITS))
        for arm, devices, error in lately.calibration():
            metrics.lately_calibration.labels(arm, devices).set(round(error, _DIGITS))

    def result(self) -> dict[str, dict[str, float | None]]:
        """Everything about each arm, as JSON can hold it (None for NaN)."""
        table = {}
        for arm, (arm_auc, arm_gauc) in self.ranking().items():
            score = self.arms[arm]
            row = {
                "auc": arm_auc,
                "gauc": arm_gauc,
                "logloss": logloss(self.label, score),
                "ece": ece(self.label, score),
            }
            table[arm] = {name: None if np.isnan(value) else round(value, 6) for name, value in row.items()}
        return table


class Scoreboard:
    """Records under the folder `out`, going on after `recorded` (see `flush`), whose `run` says whose they are.

    Raises `InputError` when the folder holds those of another run, or lacks those of this one, and `StorageError`.
    """

    def __init__(self, out: Path, recorded: dict[str, int]) -> None:
        self._out, self._parts = out, out / PARTS
        self._run = recorded.get("run", 0)
        self._claim()
        self._full = recorded.get("parts", 0)  # parts that have all their rows
        self.events = 0  # predicted so far
        self._scored = 0  # of these, in memory
        self._users: list[U64] = []
        self._labels: list[U8] = []
        self._arms: list[F32] = []
        self._tail = _frame(_NOTHING)  # the part that has not, as it is on disk
        self._unwritten: list[Predictions] = []
        self._rewind(recorded.get("tail_rows", 0), recorded.get("trainings_bytes", 0))

    def add(self, predictions: Sequence[Predictions]) -> None:
        """Take note of predictions."""
        for block in predictions:
            self._keep(block.user_id, block.label, block.arms.astype(np.float32))
            self._unwritten.append(block)

    def add_trainings(self, trainings: Sequence[TrainingRecord]) -> None:
        """Append trainings to `trainings.jsonl`."""
        if not trainings:
            return
        path = self._out / TRAININGS
        with told(path), path.open("a") as file:
            file.writelines(json.dumps(asdict(training)) + "\n" for training in trainings)

    def flush(self) -> dict[str, int]:
        """Write what is in memory only; returns how far the records reach now, to keep in the fleet's snapshot."""
        if self._unwritten:
            self._tail = pl.concat([self._tail, _frame(_joined(self._unwritten))])
            self._unwritten = []
            write_frame(self._part(self._full), self._tail)
        if len(self._tail) >= PART_ROWS:
            self._full += 1
            self._tail = self._tail.clear()
        trainings = self._out / TRAININGS
        with told(trainings):
            if trainings.exists():
                sync(trainings)
            sync(self._out)
        return {
            "run": self._run,
            "parts": self._full,
            "tail_rows": len(self._tail),
            "trainings_bytes": trainings.stat().st_size if trainings.exists() else 0,
        }

    def scores(self, names: Sequence[str] = ARMS) -> Scores:
        """The newest predictions, a million or more; the arrays never change, so another thread may score them."""
        if not self._labels:
            return Scores(np.zeros(0, np.uint64), np.zeros(0, np.uint8), np.zeros((0, len(ARMS)), np.float32), names)
        self._join(slice(None))
        return Scores(self._users[0], self._labels[0], self._arms[0], names)

    def merge(self, names: Sequence[str] = ARMS) -> Path:
        """All parts as one `predictions.parquet`, of all arms those of `names`; call after `flush`."""
        frame = pl.concat([*(pl.read_parquet(self._part(n)) for n in range(self._full)), self._tail])
        write_frame(self._out / PREDICTIONS, frame.drop(arm for arm in ARMS if arm not in names))
        return self._out / PREDICTIONS

    def _claim(self) -> None:
        """Make the folder this run's."""
        make_folder(self._parts)
        records = [self._out / PREDICTIONS, self._out / TRAININGS, *self._parts.glob("*.parquet")]
        owner, mine = self._parts / _RUN, str(self._run)
        with told(owner):
            theirs = owner.read_text(errors="replace") if owner.exists() else None
        if theirs == mine:
            return
        if any(record.exists() for record in records):
            raise InputError(
                f"{self._out} holds predictions that do not belong to the fleet's --state: give another --out, "
                "or the --state that they belong to"
            )
        write_durably(owner, mine.encode())

    def _rewind(self, tail_rows: int, trainings_bytes: int) -> None:
        """Read what was recorded up to the snapshot, and drop what came after it."""
        for number in range(self._full):
            self._keep_frame(self._read(number, PART_ROWS))
        if tail_rows:
            written = self._read(self._full, tail_rows)
            self._tail = written.head(tail_rows)
            if len(written) > tail_rows:  # or what is made again, if it is, would be in it until then
                write_frame(self._part(self._full), self._tail)
        trainings = self._out / TRAININGS
        with told(self._out):
            if trainings_bytes > (trainings.stat().st_size if trainings.exists() else 0):
                raise self._lacking(trainings)
            for part in self._parts.glob("*.parquet"):
                if part.stem >= self._part(self._full + bool(tail_rows)).stem:
                    part.unlink()
            if trainings.exists():
                os.truncate(trainings, trainings_bytes)
        self._keep_frame(self._tail)

    def _read(self, number: int, rows: int) -> pl.DataFrame:
        """A part that has at least so many rows; raises `InputError` when it has not."""
        try:
            part = pl.read_parquet(self._part(number), columns=_COLUMNS)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise self._lacking(self._part(number)) from error
        if len(part) < rows:
            raise self._lacking(self._part(number))
        return part

    def _lacking(self, record: Path) -> InputError:
        return InputError(
            f"{record} is damaged or gone, and the fleet's --state goes on from it: put it back from a copy, "
            "or give another --state and --out, and devices start anew"
        )

    def _keep_frame(self, frame: pl.DataFrame) -> None:
        self._keep(frame["user_id"].to_list(), frame["label"].to_numpy(), frame.select(ARMS).to_numpy())

    def _keep(self, user_id: list[str], label: U8, arms: F32) -> None:
        self.events += len(label)
        self._scored += len(label)
        self._users.append(user_keys(user_id))
        self._labels.append(label)
        self._arms.append(arms)
        if self._scored > 2 * SCORED:
            self._join(slice(-SCORED, None))
            log.info("scores are of the newest predictions from now on", newest=SCORED, predictions=self.events)

    def _join(self, rows: slice) -> None:
        """Few large arrays of these rows, copied so that they do not keep the others."""
        self._users = [np.concatenate(self._users)[rows].copy()]
        self._labels = [np.concatenate(self._labels)[rows].copy()]
        self._arms = [np.concatenate(self._arms)[rows].copy()]
        self._scored = len(self._labels[0])

    def _part(self, number: int) -> Path:
        return self._parts / f"{number:06d}.parquet"


def compute_ms_of(out: Path) -> list[float]:
    """What each training that is recorded in `out` cost its device."""
    trainings = out / TRAININGS
    if not trainings.exists():
        return []
    with trainings.open() as lines:
        return [json.loads(line)["compute_ms"] for line in lines]


def recorded_in(out: Path) -> pl.DataFrame:
    """All predictions under `out`, of all arms, of a fleet that has ended in order."""
    parts = sorted((out / PARTS).glob("*.parquet"))
    return pl.concat([_frame(_NOTHING), *(pl.read_parquet(part, columns=_COLUMNS) for part in parts)])


def put_together(shares: Sequence[Path], out: Path, names: Sequence[str]) -> Scores:
    """The records of all processes of a fleet, in their folders `shares`, as one file each in `out`.

    Returns the newest predictions of each, as its scoreboard keeps them.
    """
    frames = [recorded_in(share) for share in shares]
    write_frame(out / PREDICTIONS, pl.concat(frames).drop(arm for arm in ARMS if arm not in names))
    fresh = out / f".{TRAININGS}.new"
    with told(out / TRAININGS):
        with fresh.open("wb") as file:
            for trainings in (share / TRAININGS for share in shares if (share / TRAININGS).exists()):
                with trainings.open("rb") as lines:
                    shutil.copyfileobj(lines, file)
        settle(fresh, out / TRAININGS)
    newest = pl.concat([frame.tail(SCORED) for frame in frames])
    arms = newest.select(ARMS).to_numpy()
    return Scores(user_keys(newest["user_id"].to_list()), newest["label"].to_numpy(), arms, names)


def _lately(metrics: Metrics) -> tuple[Gauge, ...]:
    return metrics.lately_gain, metrics.lately_harmed, metrics.lately_calibration


def _joined(blocks: Sequence[Predictions]) -> Predictions:
    """Many small blocks as one: a frame costs as much as a thousand rows in it."""
    return Predictions(
        [user_id for block in blocks for user_id in block.user_id],
        [event_id for block in blocks for event_id in block.event_id],
        *(
            np.concatenate([getattr(b, name) for b in blocks])
            for name in ("timestamp", "label", "version", "arms", "scores")
        ),
    )


def _frame(block: Predictions) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "user_id": pl.Series(block.user_id, dtype=pl.String),
            "event_id": pl.Series(block.event_id, dtype=pl.String),
            "timestamp": block.timestamp,
            "label": block.label,
            "version": block.version,
            **{arm: block.arms[:, n].astype(np.float32) for n, arm in enumerate(ARMS)},
        }
    )


_NOTHING = Predictions(
    user_id=[],
    event_id=[],
    timestamp=np.zeros(0, np.int64),
    label=np.zeros(0, np.uint8),
    version=np.zeros(0, np.int64),
    arms=np.zeros((0, len(ARMS))),
    scores=np.zeros((0, 0)),
)
_COLUMNS = _frame(_NOTHING).columns
