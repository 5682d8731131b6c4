"""One training of many devices: their personal heads in stacked solves, their sample classifiers in stacked steps.

A `TrainingJob` holds copies of all it needs and touches nothing of the fleet, so that it may run in a thread of
its own while the fleet goes on predicting. `Fleet.finish_training` applies what it gives back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from device_sim.arrivals import unpacked
from device_sim.instruction import Train
from device_sim.outside import WeightedRows, accepted_by_auc, random_and_coarse, reweighted
from device_sim.own import OwnRows
from device_sim.window import Unencoded, WindowRows
from models.blend import HABIT, LIKE, PERSONAL, RANDOM, personal_heads
from models.cloud_model import CloudModel, sigmoid
from models.head_fit import HeadRows, fit_heads
from models.heads import Heads
from models.quorum import LEAD_MS
from models.repeats import with_repeats
from models.runs import places
from models.scores import log_losses
from wire.arrays import F32, F64, I64, U8, Bool
from wire.candidates import CandidateBatch
from wire.task import Recipe, Task


@dataclass(frozen=True, slots=True)
class DeviceResult:
    """What one device gets back: per trained head whether it passed, its share of the compute, the logits (n,) of its
    window's rows `seqs` (n,) that had none, and its batch, unpacked."""

    accepted: dict[str, bool]
    compute_ms: float
    seqs: I64
    logits: F32
    batch: CandidateBatch | None


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What each device of the job gets, and the heads that passed: `heads[i]` is PERSONAL[head[i]] of device[i]."""

    devices: list[DeviceResult]
    device: I64
    head: I64
    heads: Heads


@dataclass(frozen=True, slots=True)
class _Lineup:
    """`heads[i]` is PERSONAL[head[i]] of device[i], and whether it passed the acceptance test."""

    device: I64
    head: I64
    passed: Bool
    heads: Heads


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """Devices that train together: all on one cloud model and one task."""

    users: tuple[str, ...]
    trains: tuple[Train, ...]
    model: CloudModel
    task: Task
    seed: int

    def attempt(self, cpu_s: Callable[[], float]) -> "list[Attempt]":
        """`run`, and when that fails once for each device by itself: what one can't train on must not stop others."""
        try:
            return [Attempt(self, self.run(cpu_s))]
        except Exception as error:
            if len(self.users) == 1:
                return [Attempt(self, error)]
        alone = (replace(self, users=(u,), trains=(t,)) for u, t in zip(self.users, self.trains, strict=True))
        return [attempt for job in alone for attempt in job.attempt(cpu_s)]

    def run(self, cpu_s: Callable[[], float]) -> TrainingResult:
        """Train everything; `cpu_s` is the clock that compute is charged by, in seconds."""
        started = cpu_s()
        encoded = self._encoded()
        own = self._own(encoded)
        batches = [unpacked(train.batch) if train.batch else None for train in self.trains]
        sources = self._sources(batches, own.take(~own.held))
        lineup = self._trained(own, sources)
        device, head, passed = lineup.device, lineup.head, lineup.passed
        compute_ms = 1000 * (cpu_s() - started) * np.bincount(device, minlength=len(self.users)) / max(len(device), 1)
        devices = [
            DeviceResult(
                {PERSONAL[h]: bool(ok) for h, ok in zip(head[device == d], passed[device == d], strict=True)},
                float(compute_ms[d]),
                self.trains[d].unencoded.seq,
                encoded[d],
                batches[d],
            )
            for d in range(len(self.users))
        ]
        return TrainingResult(devices, device[passed], head[passed], lineup.heads.take(np.flatnonzero(passed)))

    def _names(self) -> list[str]:
        """The heads to train: those that the task's arms blend."""
        arms, classifier = (arm for arm in self.task.arms if arm != "cloud"), self.task.classifier
        wanted = {head for arm in arms for head in personal_heads(arm, classifier=classifier)}
        return [head for head in PERSONAL if head in wanted]

    def _recipe(self, name: str) -> Recipe:
        return self.task.habit if name.endswith(HABIT) else self.task.plain

    def _encoded(self) -> list[F32]:
        """The logits of each device's rows that have none."""
        rows = Unencoded.concat([train.unencoded for train in self.trains])
        interests = self.model.interests(rows.item, rows.category, rows.history_item, rows.history_category)
        logits = self.model.logits(self.model.features(interests, rows.item, rows.category))
        ends = np.cumsum([len(train.unencoded) for train in self.trains])
        return np.split(logits, ends[:-1])

    def _own(self, encoded: Sequence[F32]) -> OwnRows:
        """All windows as one, the newest `holdback_share` of each (at least one row) held back.

        But for what the cloud model has learned from: it would always look better there than the device's heads. A
        model that says to have learned from times that are yet to come is not believed, or no head would be tested.
        """
        joined = WindowRows.concat([train.rows for train in self.trains])
        lengths = np.array([len(train.rows) for train in self.trains])
        held = np.maximum(1, np.ceil(lengths * self.task.holdback_share)).astype(np.int64)
        place = places(lengths)
        learned = [t.event_time + LEAD_MS >= self.model.trained_until for t in self.trains]
        known = (joined.timestamp <= self.model.trained_until) & np.repeat(learned, lengths)
        logit = joined.logit.copy()
        logit[np.isnan(logit)] = np.concatenate(encoded)
        return OwnRows(
            device=np.repeat(np.arange(len(lengths)), lengths),
            x=self.model.standardised(self.model.item_vectors(joined.item, joined.category)),
            logit=with_repeats(logit, joined.times, joined.since_s, self.task.repeats),
            label=joined.label,
            item=joined.item,
            category=joined.category,
            held=(place >= np.repeat(lengths - held, lengths)) & ~known,
        )

    def _sources(self, batches: Sequence[CandidateBatch | None], own: OwnRows) -> list[WeightedRows]:
        """The outside rows that the task's arms need."""
        arms, devices = self.task.arms, len(self.users)
        random, coarse = random_and_coarse(batches, self.model, self.task.repeats)
        weights = {"coarse": coarse.weight}
        if "mpda" in arms:
            weights["mpda"] = accepted_by_auc(coarse, own, devices, self.task.plain).weight
        if "coda" in arms and self.task.classifier:
            least, most = reweighted(coarse, own, devices, self.task, self.seed)
            weights |= {"coda": least.weight, LIKE: most.weight}
        return [WeightedRows(random, {RANDOM: random.weight}), WeightedRows(coarse, weights)]

    def _trained(self, own: OwnRows, sources: list[WeightedRows]) -> _Lineup:
        """The heads of all devices that have something to make them from.

        They prove themselves on the newest samples, which they have not seen, and then learn from these as well.
        """
        names = self._names()
        has = np.ones((len(self.users), len(names)), np.bool_)
        before = Heads.none(has.size)
        for source in sources:
            at = [n for n, name in enumerate(names) if name.removesuffix(HABIT) in source.weights]
            if at:
                has[:, at] = (np.bincount(source.rows.device, minlength=len(has)) > 0)[:, None]
                where = (np.arange(len(has))[:, None] * len(names) + at).ravel()
                before.put(where, self._from_outside(source, [names[n] for n in at]))
        logit = own.logit[:, None] + self._added(own, before)
        early, held = np.flatnonzero(~own.held), np.flatnonzero(own.held)
        trial = self._fitted(own.take(early), logit[early], names)
        newest = own.take(held)
        passed = self._acceptance(newest, logit[held] + self._added(newest, trial))
        whole = (self._fitted(own, logit, names) if len(held) else trial).plus(before)
        device, number = np.nonzero(has)
        head = np.array([PERSONAL.index(name) for name in names], np.int64)[number]
        return _Lineup(device, head, passed[has.ravel()], whole.take(np.flatnonzero(has)))

    def _from_outside(self, source: WeightedRows, names: list[str]) -> Heads:
        """What own samples start from: what outside samples alone say, as far as it is trusted."""
        weights, recipes = [source.weights[name.removesuffix(HABIT)] for name in names], list(map(self._recipe, names))
        alone = fit_heads(source.rows.of_heads(weights, recipes), len(self.users), [r.outside for r in recipes])
        own = np.array([len(train.rows) for train in self.trains])[:, None]
        trust, doubt = (np.array([getattr(recipe, name) for recipe in recipes]) for name in ("trust", "doubt"))
        return alone.scaled((trust * own / np.maximum(own + doubt, 1)).ravel())

    def _fitted(self, own: OwnRows, logit: F32, names: list[str]) -> Heads:
        """What own samples add to `logit` (r, heads of a device)."""
        rows = HeadRows(
            device=own.device,
            x=own.x,
            label=own.label,
            item=own.item,
            category=own.category,
            logit=logit,
            weight=np.ones_like(logit),
        )
        return fit_heads(rows, len(self.users), [self.task.own(self._recipe(name)) for name in names])

    def _acceptance(self, held: OwnRows, logits: F32) -> Bool:
        """Which heads, with `logits` (r, heads of a device), predict their device's held-back rows no worse than the
        cloud head, give or take the margin."""
        rows = np.maximum(np.bincount(held.device, minlength=len(self.users)), 1)
        cloud = np.bincount(held.device, _losses(held.label, held.logit), len(rows)) / rows
        personal = np.zeros((len(rows), logits.shape[1]))
        np.add.at(personal, held.device, _losses(held.label[:, None], logits) / rows[held.device, None])
        passed: Bool = (personal <= cloud[:, None] + self.task.acceptance_margin).ravel()
        return passed

    def _added(self, rows: OwnRows, heads: Heads) -> F32:
        """What every head of their device adds to `rows`, (r, heads of a device)."""
        each = len(heads) // len(self.users)
        which = rows.device[:, None] * each + np.arange(each)
        row = np.repeat(np.arange(len(rows)), each)
        added: F32 = heads.added(which.ravel(), rows.x[row], rows.item[row], rows.category[row]).reshape(which.shape)
        return added


@dataclass(frozen=True, slots=True)
class Attempt:
    """A job, and what it came to: a result, or why there is none."""

    job: TrainingJob
    outcome: TrainingResult | Exception


def _losses(label: U8, logit: F32) -> F64:
    return log_losses(np.broadcast_to(label, logit.shape), sigmoid(logit))
