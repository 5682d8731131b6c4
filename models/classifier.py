"""The sample classifier: each device's border between its own samples and outside ones (fine-grained matching).

A small MLP per device tells own from outside samples, all devices in one stacked loop, both classes drawn
equally often, so that its odds are the density ratio own/outside. How far the odds can be trusted is settled
on held-back samples: the logit is tempered by the factor with the least held-back log-loss, which is 0 when
the classifier has learned nothing, and then every outside sample weighs 1 as without a classifier.

What it may see decides what it learns. Not the user, not time: either identifies the owner. Not the interest
vector either: it is the user's own history pooled, as good as a name, and its product with the target gives it
away. The target alone tells which items a user meets, and where a stream drifts that is mostly their age: weights
from it lost to none at all. It sees the label, and how far the label is from what the cloud model expected: in what
way the user surprises the cloud, compared to others.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models import stacked
from models.cloud_model import sigmoid
from models.scores import auc_of_groups
from models.stacked import Layout, StackedRows
from wire.arrays import F32, F64, I64, U8, Bool

HIDDEN = 16
MAX_RATIO = 5.0  # density ratios are clipped to [1/5, 5]; beyond it a few samples would be all that counts
HOLD_BACK = 5  # every fifth row of each class is held back from the classifier
TEMPERATURES = (0.0, 0.25, 0.5, 0.75, 1.0)
DECAY = 0.01  # L2 toward the common start


class Verdict(NamedTuple):
    """What G classifiers say of their m outside samples each."""

    ratio: F32  # (G, m) density ratio own/outside in [1/MAX_RATIO, MAX_RATIO]; 0 for padding
    auc: F64  # (G,) own against outside on held-back samples; .5 = no border found, NaN = too few samples
    temperature: F32  # (G,) how far the odds were trusted


def classifier_inputs(label: U8 | F32, cloud_logit: F32) -> F32:
    """What the classifier sees of samples (…, 2) from labels (…) and cloud logits (…)."""
    label = label.astype(np.float32)
    return np.stack([label, label - sigmoid(cloud_logit)], axis=-1)


def fit_classifiers(
    local: F32,
    outside: F32,
    local_count: I64,
    outside_count: I64,
    *,
    steps: int,
    learning_rate: float,
    seed: int = 0,
    batch_rows: int = stacked.BATCH_ROWS,
) -> Verdict:
    """Train one classifier per device and judge its outside samples.

    `local` (G, a, c) and `outside` (G, m, c) are `classifier_inputs`, finite, each device's rows first and its
    padding behind; `local_count`, `outside_count` (G,) say how many are rows. A device with fewer than
    `HOLD_BACK` of either gets ratio 1 for all. A verdict depends on the device's own rows and the seed alone.
    """
    parts = []
    for at in range(0, max(len(local), 1), stacked.GROUP):
        part = slice(at, at + stacked.GROUP)
        group = _Group(local[part], outside[part], local_count[part], outside_count[part])
        parts.append(group.judge(group.fit(steps, learning_rate, seed, batch_rows)))
    return Verdict(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


class _Group:
    """Devices trained in one stacked loop, padded to a multiple of 8; own rows come first, outside rows after."""

    def __init__(self, local: F32, outside: F32, local_count: I64, outside_count: I64) -> None:
        self.devices, self.split = local.shape[:2]
        short = stacked.padded(self.devices) - self.devices
        self.own = np.pad(local_count, (0, short))
        self.others = np.pad(outside_count, (0, short))
        # One row of padding at the end, for the draws of devices without outside samples to point at.
        rows = np.pad(np.concatenate([local, outside], axis=1), [(0, short), (0, 1), (0, 0)])
        place = np.arange(rows.shape[1])
        is_own = place < self.split
        nth = np.where(is_own, place, place - self.split)
        self.valid: Bool = np.where(is_own, nth < self.own[:, None], nth < self.others[:, None])
        self.held_back: Bool = self.valid & (nth % HOLD_BACK == HOLD_BACK - 1)
        self.label = np.broadcast_to(is_own, self.valid.shape).astype(np.float32)
        self.x = torch.from_numpy(_standardised(rows, self.valid))

    def fit(self, steps: int, learning_rate: float, seed: int, batch_rows: int) -> F32:
        """Logits (padded G, rows) after training on what is not held back."""
        layout = Layout(self.x.shape[2], HIDDEN)
        start = torch.from_numpy(stacked.initial(layout, seed)).repeat(len(self.x), 1)
        half = batch_rows // 2
        own = _skip_held_back(stacked.draw(self.own - self.own // HOLD_BACK, steps, half, seed))
        others = _skip_held_back(stacked.draw(self.others - self.others // HOLD_BACK, steps, half, seed))
        draws = torch.cat([own, others + self.split], dim=2)
        weight = torch.from_numpy(self.valid.astype(np.float32))
        rows = StackedRows(self.x, torch.from_numpy(self.label), weight)
        flat = stacked.fit(layout, start, rows, draws, learning_rate=learning_rate, decay=DECAY)
        logits: F32 = stacked.logits(layout, flat, self.x).numpy()
        return logits

    def judge(self, logits: F32) -> Verdict:
        """Temper the logits by the held-back rows and turn them into ratios."""
        limit = np.float32(np.log(MAX_RATIO))
        logits = np.clip(logits, -4 * limit, 4 * limit)
        temperature = self._temperature(logits)
        ratio: F32 = np.exp(np.clip(temperature[:, None] * logits, -limit, limit)) * self.valid
        at = (slice(self.devices), slice(self.split, -1))
        device, row = np.nonzero(self.held_back)
        aucs = auc_of_groups(device, len(logits), self.label[device, row] > 0, logits[device, row])
        return Verdict(ratio[at], aucs[: self.devices], temperature[: self.devices])

    def _temperature(self, logits: F32) -> F32:
        """The factor of `TEMPERATURES` with the least class-balanced held-back log-loss, (padded G,)."""
        own = self.held_back & (self.label > 0)
        others = self.held_back & (self.label == 0)
        balance = _shares(own) + _shares(others)
        signed = np.where(self.label > 0, -logits, logits)
        losses = np.stack([(np.logaddexp(0, t * signed) * balance).sum(axis=1) for t in TEMPERATURES])
        judged = own.any(axis=1) & others.any(axis=1)
        best = np.array(TEMPERATURES, np.float32)[losses.argmin(axis=0)]
        return np.asarray(best * judged, np.float32)


def _skip_held_back(drawn: Tensor) -> Tensor:
    """The row numbers of the `drawn`-th rows that are not held back."""
    return drawn + drawn // (HOLD_BACK - 1)


def _shares(chosen: Bool) -> F32:
    total = np.maximum(chosen.sum(axis=1, keepdims=True), 1)
    share: F32 = (chosen / total).astype(np.float32)
    return share


def _standardised(rows: F32, valid: Bool) -> F32:
    """Rows (G, n, c) with mean 0 and variance 1 per device and input; padding 0."""
    count = np.maximum(valid.sum(axis=1), 1).astype(np.float32)[:, None]
    mask = valid[:, :, None]
    mean = (rows * mask).sum(axis=1) / count
    centred = (rows - mean[:, None, :]) * mask
    deviation = np.sqrt((centred**2).sum(axis=1) / count)
    return np.asarray(centred / (deviation[:, None, :] + 1e-6), np.float32)
