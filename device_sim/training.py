"""One training of many devices: their sample classifiers and personal heads in stacked steps.

A `TrainingJob` holds copies of all it needs and touches nothing of the fleet, so that it may run in a thread of
its own while the fleet goes on predicting. `Fleet.finish_training` applies what it gives back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from device_sim.bank import PERSONAL
from device_sim.instruction import Train
from device_sim.outside import Outside, random_and_coarse, sieved
from device_sim.own import OwnRows
from device_sim.window import WindowRows
from models.arrays import F16, F32, F64, I64, U8, Bool
from models.cloud_model import CloudModel, sigmoid
from models.heads import Heads, centred, fit_heads
from models.scores import log_losses
from models.task import Task
from models.training_rows import TrainingRows


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one device gets back: per trained head whether it passed, its share of the compute, encoded rows."""

    accepted: dict[str, bool]
    compute_ms: float
    encoded: WindowRows  # rows that were not encoded by this model before


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """One outcome per device of the job, and the heads that passed: `heads[i]` is PERSONAL[head[i]] of device[i]."""

    outcomes: list[Outcome]
    device: I64
    head: I64
    heads: Heads


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """Devices that train together: all on one cloud model and one task."""

    users: tuple[str, ...]
    trains: tuple[Train, ...]
    model: CloudModel
    task: Task
    seed: int

    def run(self, cpu_s: Callable[[], float]) -> TrainingResult:
        """Train everything; `cpu_s` is the clock that compute is charged by, in seconds."""
        started = cpu_s()
        rows, encoded = self._encoded()
        own = self._own(rows)
        outside = self._outside(own.take(~own.held))
        device, head = self._pairs(outside)
        training = self._training_rows(own.take(~own.held), outside, device, head)
        heads = fit_heads(
            self.model.head,
            training,
            steps=self.task.steps,
            learning_rate=self.task.learning_rate,
            weight_decay=self.task.weight_decay,
            seed=self.seed,
        )
        heads = centred(self.model.head, heads, training)
        passed = self._acceptance(own.take(own.held), heads, device)
        compute_ms = 1000 * (cpu_s() - started) * np.bincount(device, minlength=len(self.users)) / max(len(device), 1)
        outcomes = [
            Outcome(
                {PERSONAL[h]: bool(ok) for h, ok in zip(head[device == d], passed[device == d], strict=True)},
                float(compute_ms[d]),
                encoded[d],
            )
            for d in range(len(self.users))
        ]
        return TrainingResult(outcomes, device[passed], head[passed], heads.take(np.flatnonzero(passed)))

    def _encoded(self) -> tuple[list[WindowRows], list[WindowRows]]:
        """The windows with all vectors by this job's model, and apart from that the rows that had to be encoded."""
        stale = [t.rows.take(t.rows.version != self.model.version) for t in self.trains]
        joined = WindowRows.concat(stale)
        vectors = self.model.encode(
            joined.item, joined.category, joined.history_item, joined.history_category
        ).interest.astype(np.float16)
        parts = np.split(vectors, np.cumsum([len(s) for s in stale])[:-1])
        stale = [replace(s, interest=v) for s, v in zip(stale, parts, strict=True)]
        return [_filled(t.rows, v, self.model.version) for t, v in zip(self.trains, parts, strict=True)], stale

    def _own(self, rows: list[WindowRows]) -> OwnRows:
        """All windows as one, the newest `holdback_share` of each (at least one row) held back."""
        joined = WindowRows.concat(rows)
        lengths = np.array([len(r) for r in rows])
        held = np.maximum(1, np.ceil(lengths * self.task.holdback_share)).astype(np.int64)
        place = np.arange(len(joined)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return OwnRows(
            np.repeat(np.arange(len(rows)), lengths),
            self.model.features(joined.interest, joined.item, joined.category),
            joined.label,
            joined.item,
            joined.category,
            place >= np.repeat(lengths - held, lengths),
        )

    def _outside(self, own: OwnRows) -> dict[str, Outside]:
        """The outside rows of each head that the task wants."""
        arms, batches = self.task.arms, [train.batch for train in self.trains]
        random, coarse = random_and_coarse(batches, self.model, with_random="random" in arms)
        rows = {"random": random, "coarse": coarse}
        if "coda" in arms:
            rows["coda"] = sieved(coarse, own, self.model, self.task, self.seed)
        return {name: outside for name, outside in rows.items() if name in arms}

    def _pairs(self, outside: Mapping[str, Outside]) -> tuple[I64, I64]:
        """Device and head number of every pair that is trained, head by head."""
        devices = {name: np.unique(o.device) for name, o in outside.items()}
        if "local" in self.task.arms:
            devices = {"local": np.arange(len(self.users))} | devices
        numbers = [np.full(len(d), PERSONAL.index(name)) for name, d in devices.items()]
        if not devices:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        return np.concatenate(list(devices.values())), np.concatenate(numbers)

    def _training_rows(self, own: OwnRows, outside: Mapping[str, Outside], device: I64, head: I64) -> TrainingRows:
        """Own rows with weight 1 for every pair, then the outside rows of its head with theirs."""
        pair_of = np.full((len(self.users), len(PERSONAL)), -1)
        pair_of[device, head] = np.arange(len(device))
        own_pair = pair_of[own.device]  # (r, PERSONAL)
        at, which = np.nonzero(own_pair >= 0)
        ones = np.ones(len(at), np.float32)
        taken = replace(own.take(at), device=own_pair[at, which])
        parts: list[tuple[OwnRows | Outside, F32, F32]] = [(taken, ones, 0 * ones)]
        for name, rows in outside.items():
            pair = pair_of[rows.device, PERSONAL.index(name)]
            weight = rows.weight * np.float32(self.task.outside_weight)
            parts.append((replace(rows, device=pair), weight, np.ones_like(weight)))
        return TrainingRows.from_flat(
            np.concatenate([rows.device for rows, _, _ in parts]),
            len(device),
            features=np.concatenate([rows.features for rows, _, _ in parts]),
            label=np.concatenate([rows.label for rows, _, _ in parts]).astype(np.float32),
            weight=np.concatenate([weight for _, weight, _ in parts]),
            outside=np.concatenate([is_outside for _, _, is_outside in parts]),
            item=np.concatenate([rows.item for rows, _, _ in parts]),
            category=np.concatenate([rows.category for rows, _, _ in parts]),
        )

    def _acceptance(self, held: OwnRows, heads: Heads, device: I64) -> Bool:
        """Which pairs predict their device's held-back rows no worse than the cloud head, give or take the margin."""
        pair, at = np.nonzero(device[:, None] == held.device[None, :])
        mine = heads.logits(pair, held.features[at], held.item[at], held.category[at])
        rows = np.maximum(np.bincount(held.device, minlength=len(self.users)), 1)
        cloud = np.bincount(held.device, _losses(held.label, self.model.logits(held.features)), len(self.users)) / rows
        personal = np.bincount(pair, _losses(held.label[at], mine), len(device)) / rows[device]
        passed: Bool = personal <= cloud[device] + self.task.acceptance_margin
        return passed


def _losses(label: U8, logit: F32) -> F64:
    return log_losses(label, sigmoid(logit))


def _filled(rows: WindowRows, vectors: F16, version: int) -> WindowRows:
    interest = rows.interest.copy()
    interest[rows.version != version] = vectors
    return replace(rows, interest=interest)
