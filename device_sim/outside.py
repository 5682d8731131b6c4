"""Other users' samples that devices train on: which of a batch, and how much each counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from device_sim.own import OwnRows
from models.classifier import classifier_inputs, fit_classifiers
from models.cloud_model import CloudModel
from models.head_fit import HeadRows, fit_heads
from models.heads import Heads
from models.repeats import with_repeats
from models.runs import places
from models.scores import auc_of_groups
from wire.arrays import F16, F32, F64, I64, U8, U32
from wire.candidates import CandidateBatch, Candidates, no_candidates
from wire.columns import Columns
from wire.task import Recipe, Task

LEAST_SIMILARITY = 0.01  # match keys may point away from each other; then a sample counts next to nothing
# Digits of scores that rank: which of two equal ones is a hair above the other depends on who trains beside the device.
TIED = 4
STEPS = 4  # of MPDA: in so many parts, the most similar first, matched samples are tried


@dataclass(frozen=True, slots=True)
class Outside(Columns):
    """Outside rows of devices 0 … G − 1 one after the other; `x` and `logit` as in `OwnRows`, `weight` 1 on average."""

    device: I64
    x: F32  # (r, d)
    logit: F32
    label: U8
    weight: F32
    item: U32
    category: U32

    def weighed(self, weight: F64) -> Self:
        """The rows with these weights, scaled to 1 on average within each label of each device."""
        group = 2 * self.device + self.label
        mean = np.bincount(group, weight) / np.maximum(np.bincount(group), 1)
        return replace(self, weight=(weight / mean[group]).astype(np.float32))

    def of_heads(self, weights: Sequence[F32], recipes: Sequence[Recipe]) -> HeadRows:
        """The rows as what a head for each of `weights` (r,), by its recipe, is to learn from them alone."""
        weight = np.stack(weights, axis=1) * np.array([recipe.outside_weight for recipe in recipes], np.float32)
        return HeadRows(
            device=self.device,
            x=self.x,
            label=self.label,
            item=self.item,
            category=self.category,
            logit=self.logit[:, None],
            weight=weight,
        )


@dataclass(frozen=True, slots=True)
class WeightedRows:
    """Outside rows, and how much each counts (r,) for every head that learns from them."""

    rows: Outside
    weights: dict[str, F32]


def random_and_coarse(
    batches: Sequence[CandidateBatch | None], model: CloudModel, repeats: Mapping[str, float]
) -> tuple[Outside, Outside]:
    """The random and the matched rows of `batches`, one entry per device.

    Equally many of both where there are both: those heads differ in which samples they see, not in how many. Matched
    ones weigh by the square of their similarity, labels keeping their shares. `repeats` are the task's weights of
    `models.repeats`: what other users took again says nothing of the item.
    """
    random, matched = zip(*map(_even, batches), strict=True)
    coarse = _outside([c for c, _ in matched], model, repeats)
    similarity = np.concatenate([s for _, s in matched]).astype(np.float64)
    return _outside(random, model, repeats), coarse.weighed(np.square(np.maximum(similarity, LEAST_SIMILARITY)))


def reweighted(coarse: Outside, own: OwnRows, devices: int, task: Task, seed: int) -> tuple[Outside, Outside]:
    """The matched rows as each device's sample classifier weighs them, 1 on average: those that are least like its own
    samples most, by the inverse root of the density ratio, and those that are most like them, by the ratio.

    The first say what the device does not know yet, the second what it can be surest of; neither is worth more on
    every log, and a device's blend finds out.
    Labels keep their shares: what is weighed is how a sample of its label surprises the cloud model.
    """
    if not len(coarse):
        return coarse, coarse
    verdict = fit_classifiers(
        _stacked(own, devices),
        _stacked(coarse, devices),
        np.bincount(own.device, minlength=devices),
        np.bincount(coarse.device, minlength=devices),
        steps=task.classifier_steps,
        learning_rate=task.classifier_learning_rate,
        seed=seed,
    )
    ratio = verdict.ratio[coarse.device, _place(coarse.device)].astype(np.float64)
    return coarse.weighed(coarse.weight / np.sqrt(ratio)), coarse.weighed(coarse.weight * ratio)


def accepted_by_auc(coarse: Outside, own: OwnRows, devices: int, recipe: Recipe) -> Outside:
    """The matched rows that MPDA (KDD 2022) would keep: a part at a time, a part is taken back where the head that it
    makes ranks the device's own samples worse than before, by AUC. What is taken back weighs 0.

    MPDA matches users and takes gradient steps; here its test of acceptance is on our matched samples and heads.
    """
    nth = _place(2 * coarse.device + coarse.label)
    size = np.bincount(2 * coarse.device + coarse.label)[2 * coarse.device + coarse.label]
    part = nth * STEPS // size
    kept = np.zeros((devices, STEPS), np.bool_)
    best = _own_auc(own, devices, Heads.none(devices))
    for step in range(STEPS):
        tried = kept.copy()
        tried[:, step] = True
        rows = coarse.take(tried[coarse.device, part])
        auc = _own_auc(own, devices, fit_heads(rows.of_heads([rows.weight], [recipe]), devices, [recipe.outside]))
        better = ~(auc < best)  # also where own samples of one label leave nothing to rank
        kept[:, step] = better
        best = np.where(better, auc, best)
    return replace(coarse, weight=coarse.weight * kept[coarse.device, part])


def _own_auc(own: OwnRows, devices: int, heads: Heads) -> F64:
    score = own.logit + heads.added(own.device, own.x, own.item, own.category)
    return auc_of_groups(own.device, devices, own.label, score.round(TIED))


def _even(batch: CandidateBatch | None) -> tuple[Candidates, tuple[Candidates, F16]]:
    """Random rows, and matched ones with their similarity."""
    if batch is None:
        return no_candidates(), (no_candidates(), np.zeros(0, np.float16))
    if not len(batch.random):
        return no_candidates(), (batch.matched, batch.similarity)
    n = min(len(batch.matched), len(batch.random))
    matched = _spread(len(batch.matched), n)
    return batch.random.take(_spread(len(batch.random), n)), (batch.matched.take(matched), batch.similarity[matched])


def _spread(rows: int, n: int) -> I64:
    """`n` of `rows`, spread evenly so that every label stays in."""
    return np.linspace(0, rows - 1, n).round().astype(np.int64)


def _outside(candidates: Sequence[Candidates], model: CloudModel, repeats: Mapping[str, float]) -> Outside:
    joined = Candidates.concat(candidates)
    unknown = np.zeros(len(joined), np.uint32)  # how long ago does not travel
    return Outside(
        device=np.repeat(np.arange(len(candidates)), [len(c) for c in candidates]),
        x=model.standardised(model.item_vectors(joined.item, joined.category)),
        logit=with_repeats(joined.logit.astype(np.float32), joined.times, unknown, repeats),
        label=joined.label,
        weight=np.ones(len(joined), np.float32),
        item=joined.item,
        category=joined.category,
    )


def _stacked(rows: OwnRows | Outside, devices: int) -> F32:
    """What the classifier sees of `rows`, (devices, most rows of one, c), padded with zeros."""
    inputs = classifier_inputs(rows.label, rows.logit)
    most = int(np.bincount(rows.device, minlength=devices).max(initial=0))
    out = np.zeros((devices, most, inputs.shape[1]), np.float32)
    out[rows.device, _place(rows.device)] = inputs
    return out


def _place(group: I64) -> I64:
    """The number of each row among those of its group, in order."""
    order = np.argsort(group, kind="stable")
    counts = np.bincount(group)
    place = np.empty(len(group), np.int64)
    place[order] = places(counts)
    return place
