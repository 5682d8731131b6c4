"""One training of many devices: their sample classifiers in stacked steps, their personal heads in stacked solves.

A `TrainingJob` holds copies of all it needs and touches nothing of the fleet, so that it may run in a thread of
its own while the fleet goes on predicting. `Fleet.finish_training` applies what it gives back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from device_sim.instruction import Train
from device_sim.outside import Outside, accepted_by_auc, random_and_coarse, sieved
from device_sim.own import OwnRows
from device_sim.window import WindowRows
from models.arrays import F16, F32, F64, I64, U8, Bool
from models.blend import HABIT, LIKE, PERSONAL, stacked_by
from models.cloud_model import DIM, CloudModel, sigmoid
from models.head_fit import HeadRows, fit_heads
from models.heads import Heads
from models.runs import places
from models.scores import log_losses
from models.task import Recipe, Task


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
        """Train everything; `cpu_s` is the clock that compute is charged by, in seconds.

        Heads prove themselves on the newest samples, which they have not seen, and then learn from these as well.
        """
        started = cpu_s()
        rows, encoded = self._encoded()
        own = self._own(rows)
        outside = self._outside(own.take(~own.held))
        device, head = self._pairs(outside)
        before = self._from_outside(outside, device, head)
        trial = self._fitted(own.take(~own.held), before, device, head)
        passed = self._acceptance(own.take(own.held), trial, device)
        whole = self._fitted(own, before, device, head) if own.held.any() else trial
        heads = whole.take(np.flatnonzero(passed))
        compute_ms = 1000 * (cpu_s() - started) * np.bincount(device, minlength=len(self.users)) / max(len(device), 1)
        outcomes = [
            Outcome(
                {PERSONAL[h]: bool(ok) for h, ok in zip(head[device == d], passed[device == d], strict=True)},
                float(compute_ms[d]),
                encoded[d],
            )
            for d in range(len(self.users))
        ]
        return TrainingResult(outcomes, device[passed], head[passed], heads)

    def _encoded(self) -> tuple[list[WindowRows], list[WindowRows]]:
        """The windows with all vectors by this job's model, and apart from that the rows that had to be encoded."""
        stale = [t.rows.take(t.rows.version != self.model.version) for t in self.trains]
        joined = WindowRows.concat(stale)
        histories = joined.history_item, joined.history_category
        vectors = self.model.interests(joined.item, joined.category, *histories).astype(np.float16)
        parts = np.split(vectors, np.cumsum([len(s) for s in stale])[:-1])
        stale = [replace(s, interest=v) for s, v in zip(stale, parts, strict=True)]
        return [_filled(t.rows, v, self.model.version) for t, v in zip(self.trains, parts, strict=True)], stale

    def _own(self, rows: list[WindowRows]) -> OwnRows:
        """All windows as one, the newest `holdback_share` of each (at least one row) held back.

        But for what the cloud model has learned from: it would always look better there than the device's heads.
        """
        joined = WindowRows.concat(rows)
        lengths = np.array([len(r) for r in rows])
        held = np.maximum(1, np.ceil(lengths * self.task.holdback_share)).astype(np.int64)
        place = places(lengths)
        features = self.model.features(joined.interest, joined.item, joined.category)
        return OwnRows(
            np.repeat(np.arange(len(rows)), lengths),
            self.model.standardised(features[:, DIM : 2 * DIM]),
            self.model.logits(features),
            joined.label,
            joined.item,
            joined.category,
            (place >= np.repeat(lengths - held, lengths)) & (joined.timestamp > self.model.trained_until),
        )

    def _outside(self, own: OwnRows) -> dict[str, Outside]:
        """The outside rows of each source that the task's arms need."""
        arms, batches = self.task.arms, [train.batch for train in self.trains]
        random, coarse = random_and_coarse(batches, self.model, with_random="random" in arms)
        rows = {"random": random, "coarse": coarse}
        if "mpda" in arms and len(coarse):
            rows["mpda"] = accepted_by_auc(coarse, own, len(self.users), self.task.plain)
        if "coda" in arms:
            rows["coda"], rows[LIKE] = sieved(coarse, own, len(self.users), self.task, self.seed)
        return {name: outside for name, outside in rows.items() if name in self._wanted()}

    def _wanted(self) -> set[str]:
        """The heads that the task's arms blend."""
        return {head for arm in self.task.arms if arm != "cloud" for head in stacked_by(arm)}

    def _pairs(self, outside: Mapping[str, Outside]) -> tuple[I64, I64]:
        """Device and head number of every pair that is trained, head by head."""
        devices = {"local": np.arange(len(self.users))} | {name: np.unique(o.device) for name, o in outside.items()}
        trained = [(name + recipe, who) for name, who in devices.items() for recipe in ("", HABIT)]
        pairs = [(PERSONAL.index(head), who) for head, who in trained if head in self._wanted()]
        if not pairs:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        return np.concatenate([who for _, who in pairs]), np.repeat(
            [n for n, _ in pairs], [len(who) for _, who in pairs]
        )

    def _from_outside(self, outside: Mapping[str, Outside], device: I64, head: I64) -> Heads:
        """What own samples start from, one head per pair: what outside samples alone say, as far as it is trusted."""
        before = Heads.none(len(device))
        own = np.array([len(train.rows) for train in self.trains])[device]
        for suffix, recipe in self._recipes():
            learn = {name + suffix: rows for name, rows in outside.items() if name + suffix in self._wanted()}
            numbers = [PERSONAL.index(name) for name in learn]
            at = np.flatnonzero(np.isin(head, numbers))
            if not len(at):
                continue
            place = np.zeros((len(PERSONAL), len(self.users)), np.int64)
            place[head[at], device[at]] = np.arange(len(at))
            parts = [
                rows.of_heads(place[n, rows.device], recipe) for n, rows in zip(numbers, learn.values(), strict=True)
            ]
            alone = fit_heads(HeadRows.concat(parts), len(at), recipe.outside)
            trust = recipe.trust * own[at] / np.maximum(own[at] + recipe.doubt, 1)
            before.put(at, Heads.none(len(at)).plus(alone, trust))
        return before

    def _fitted(self, own: OwnRows, before: Heads, device: I64, head: I64) -> Heads:
        """`before` and what own samples add to it, one head per pair."""
        heads = Heads.none(len(device))
        for suffix, recipe in self._recipes():
            at = np.flatnonzero([PERSONAL[h].endswith(HABIT) == bool(suffix) for h in head])
            pair, row = np.nonzero(device[at][:, None] == own.device[None, :])
            item, category = own.item[row], own.category[row]
            logit = own.logit[row] + before.added(at[pair], own.x[row], item, category)
            ones = np.ones(len(row), np.float32)
            rows = HeadRows(pair, own.x[row], logit, own.label[row], ones, item, category)
            heads.put(at, fit_heads(rows, len(at), recipe.own))
        return heads.plus(before, np.ones(len(before)))

    def _recipes(self) -> tuple[tuple[str, Recipe], ...]:
        return ("", self.task.plain), (HABIT, self.task.habit)

    def _acceptance(self, held: OwnRows, heads: Heads, device: I64) -> Bool:
        """Which pairs predict their device's held-back rows no worse than the cloud head, give or take the margin."""
        pair, at = np.nonzero(device[:, None] == held.device[None, :])
        mine = held.logit[at] + heads.added(pair, held.x[at], held.item[at], held.category[at])
        rows = np.maximum(np.bincount(held.device, minlength=len(self.users)), 1)
        cloud = np.bincount(held.device, _losses(held.label, held.logit), len(self.users)) / rows
        personal = np.bincount(pair, _losses(held.label[at], mine), len(device)) / rows[device]
        passed: Bool = personal <= cloud[device] + self.task.acceptance_margin
        return passed


def _losses(label: U8, logit: F32) -> F64:
    return log_losses(label, sigmoid(logit))


def _filled(rows: WindowRows, vectors: F16, version: int) -> WindowRows:
    interest = rows.interest.copy()
    interest[rows.version != version] = vectors
    return replace(rows, interest=interest)
