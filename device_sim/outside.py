"""Other users' samples that devices train on: which of a batch, and how much each counts."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from device_sim.own import OwnRows
from models.arrays import F32, I64, U8, U32
from models.candidates import CandidateBatch, Candidates, no_candidates
from models.classifier import classifier_inputs, fit_classifiers
from models.cloud_model import DIM, CloudModel
from models.task import Task


@dataclass(frozen=True, slots=True)
class Outside:
    """Outside rows of devices 0 … G − 1 one after the other; `weight` is relative to the task's `outside_weight`."""

    device: I64
    features: F32  # (r, 3d)
    label: U8
    weight: F32
    item: U32
    category: U32

    def __len__(self) -> int:
        return len(self.device)


def random_and_coarse(
    batches: Sequence[CandidateBatch | None], model: CloudModel, *, with_random: bool
) -> tuple[Outside, Outside]:
    """The random and the matched rows of `batches`, one entry per device.

    Equally many of both where there are both: those heads differ in which samples they see, not in how many.
    """
    random, matched = zip(*(_even(batch, with_random) for batch in batches), strict=True)
    return _outside(random, model), _outside(matched, model)


def sieved(coarse: Outside, own: OwnRows, model: CloudModel, task: Task, seed: int) -> Outside:
    """The matched rows as each device's sample classifier weighs them: by the root of the density ratio, 1 on average.

    Weighed by the ratio itself, fresh items count least where the stream drifts fast, for they are what a device does
    not have; and all of them together count less than unweighed ones would (docs/research.md).
    """
    if not len(coarse):
        return coarse
    devices = int(max(own.device.max(), coarse.device.max())) + 1
    verdict = fit_classifiers(
        _stacked(own, devices, model),
        _stacked(coarse, devices, model),
        np.bincount(own.device, minlength=devices),
        np.bincount(coarse.device, minlength=devices),
        steps=task.classifier_steps,
        learning_rate=task.classifier_learning_rate,
        seed=seed,
    )
    ratio = np.sqrt(verdict.ratio[coarse.device, _place(coarse.device)])
    mean = np.bincount(coarse.device, ratio, devices) / np.maximum(np.bincount(coarse.device, minlength=devices), 1)
    return replace(coarse, weight=(ratio / mean[coarse.device]).astype(np.float32))


def _even(batch: CandidateBatch | None, with_random: bool) -> tuple[Candidates, Candidates]:
    if batch is None:
        return no_candidates(DIM), no_candidates(DIM)
    if not with_random or not len(batch.random):
        return no_candidates(DIM), batch.matched
    n = min(len(batch.matched), len(batch.random))
    return _spread(batch.random, n), _spread(batch.matched, n)


def _spread(candidates: Candidates, n: int) -> Candidates:
    """`n` of the candidates, spread evenly over their order so that every label stays in."""
    if n == len(candidates):
        return candidates
    at = np.linspace(0, len(candidates) - 1, n).round().astype(np.int64)
    return Candidates(**{f.name: getattr(candidates, f.name)[at] for f in fields(candidates)})


def _outside(candidates: Sequence[Candidates], model: CloudModel) -> Outside:
    some = [c for c in candidates if len(c)]
    item, category = (_joined([getattr(c, name) for c in some], np.uint32) for name in ("item", "category"))
    interest = np.concatenate([c.interest for c in some] or [no_candidates(DIM).interest])
    return Outside(
        device=np.repeat(np.arange(len(candidates)), [len(c) for c in candidates]),
        features=model.features(interest, item, category),
        label=_joined([c.label for c in some], np.uint8),
        weight=np.ones(len(item), np.float32),
        item=item,
        category=category,
    )


def _joined(columns: list[Any], dtype: DTypeLike) -> Any:
    return np.concatenate([np.zeros(0, dtype), *columns])


def _stacked(rows: OwnRows | Outside, devices: int, model: CloudModel) -> F32:
    """What the classifier sees of `rows`, (devices, most rows of one, c), padded with zeros."""
    inputs = classifier_inputs(rows.features, rows.label, model.logits(rows.features))
    most = int(np.bincount(rows.device, minlength=devices).max())
    out = np.zeros((devices, most, inputs.shape[1]), np.float32)
    out[rows.device, _place(rows.device)] = inputs
    return out


def _place(device: I64) -> I64:
    """The number of each row among its device's; rows of a device lie together."""
    counts = np.bincount(device)
    place: I64 = np.arange(len(device)) - np.repeat(np.cumsum(counts) - counts, counts)
    return place
