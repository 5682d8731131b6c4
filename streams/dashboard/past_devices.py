"""The devices of a run that is over: what the fleet left of each in the run's folder, as rows of words."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from device_sim.record import PREDICTIONS, TRAININGS, TrainingRecord, records_in
from models.scores import auc, logloss
from streams.dashboard.learned import FleetFolder
from streams.times import span
from wire.errors import InputError
from wire.task import ARMS

NONE_LEFT = (
    "This run's folder says nothing of devices: a recording has what processes said, and no device is named in that. "
    "Copy the --out of the fleet that ran beside it into the folder, and open it again."
)
_NOT_KEPT = "not in a run's folder: coda dashboard shows them while the system runs"


class PastDevices:
    """Those in the `folder` of a run, in which what they add to is called `cloud`; raises `InputError` for records that
    can't be read."""

    def __init__(self, folder: Path, cloud: str = "cloud") -> None:
        self._cloud = cloud
        self._learned = FleetFolder(folder)
        here = records_in(folder)
        self._trainings, self._predictions = here / TRAININGS, here / PREDICTIONS
        self.names: list[str] = []
        if self._predictions.exists():
            self.names = self._read(pl.scan_parquet(self._predictions).select("user_id").unique().sort("user_id"))[
                "user_id"
            ].to_list()

    def device(self, user_id: str) -> dict[str, Any] | None:
        """Rows on one device, and what it learned; None for one that predicted nothing."""
        if user_id not in self.names:
            return None
        rows = {**self._predicted(user_id), **self._trained(user_id), "link, batches, bytes": _NOT_KEPT}
        return {"rows": rows, "learned": self._learned.words(user_id)}

    def _predicted(self, user_id: str) -> dict[str, str]:
        found = self._read(pl.scan_parquet(self._predictions).filter(pl.col("user_id") == user_id))
        label = found["label"].to_numpy()
        there = (arm for arm in ARMS if arm in found.columns)
        of_arms = {self._cloud if arm == "cloud" else arm: found[arm].to_numpy() for arm in there}
        losses = sorted((logloss(label, scores), arm) for arm, scores in of_arms.items())
        aucs = {arm: auc(label, scores) for arm, scores in of_arms.items()} if 0 < label.sum() < len(label) else {}
        return {
            "events predicted": f"{len(found):,}, of which {int(label.sum()):,} positive",
            "log-loss per event, best arms first": ", ".join(f"{arm} {loss:.4f}" for loss, arm in losses),
            "AUC": ", ".join(f"{arm} {area:.4f}" for arm, area in aucs.items()) or "– (labels of one kind only)",
        }

    def _trained(self, user_id: str) -> dict[str, str]:
        trainings = self._trainings_of(user_id)
        if not trainings:
            return {"trainings": "none"}
        last, batches = trainings[-1], sum(each.batch_seq >= 0 for each in trainings)
        passed = Counter(head for each in trainings for head, was in each.accepted.items() if was)
        return {
            "trainings": f"{len(trainings):,}, {batches:,} of them on a batch",
            "the last one": f"on {last.own_rows:,} own samples, beside version {last.version} of the cloud model",
            "heads that passed their test": ", ".join(f"{n:,} {head}" for head, n in passed.most_common()) or "–",
            "computed for": span(sum(each.compute_ms for each in trainings) / 1000),
            "stored": f"{last.bytes_stored / 1000:,.0f} kB",
        }

    def _trainings_of(self, user_id: str) -> list[TrainingRecord]:
        named = json.dumps({"user_id": user_id})[1:-1].encode()  # as the fleet writes it; other lines are not read
        try:
            with self._trainings.open("rb") as lines:
                of_user = [msgspec.json.decode(line, type=TrainingRecord) for line in lines if named in line]
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError) as error:
            raise InputError(f"{self._trainings} cannot be read ({error}): run it again") from error
        return [each for each in of_user if each.user_id == user_id]

    def _read(self, wanted: pl.LazyFrame) -> pl.DataFrame:
        try:
            return wanted.collect()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise InputError(f"{self._predictions} cannot be read ({error}): run it again") from error
