"""Training personal heads: exact ridge regression on what the cloud model got wrong, many heads at once.

A head's additions are Gaussian a priori: taste ~ N(0, `taste`·I), each item's bias ~ N(0, `item`), each category's
~ N(0, `category`), and the user's bias ~ N(0, `user_bias`), which takes up how much more or less they click and is then
left out (`models.user_bias` keeps it). The logistic loss is taken to second order around the logits that samples have
without the head (one Newton step; additions are small, and what they are not the blend notices), so its minimum is a
linear solve and there is no learning rate, number of steps or seed. A copy of the cloud's MLP instead
has 3,200 parameters to learn from a few hundred samples: it ranks worse than the cloud, and takes ten times as long.

The solve is cheap because items lie in categories. With z the working response of the n distinct items of a head and
N its noise, the covariance of z is

    K = diag(item + N) + category · [same category] + X Xᵀ,    X (n, d + 1): taste and user bias

The first two are diagonal and rank one per category (Sherman-Morrison), the last has rank d + 1 (Woodbury):
n·(d + 1)² operations instead of n³. With A the inverse of the first two, u = (I + XᵀAX)⁻¹ XᵀAz are taste and user bias;
of what is left, z − Xu, each category takes its shrunken mean as bias, and each item its part of the rest.

Most heads of a device learn from the same rows: own samples with another logit to add to, candidates with another
weight or prior. So rows are sorted into items and categories once for all of them, and heads share their bias keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from models.cloud_model import DIM
from models.heads import BIAS_KEY, KEY_BITS, Heads, category_bias_key, item_bias_key
from models.runs import places
from wire.arrays import F32, F64, I64, U8, U32, U64
from wire.columns import Columns
from wire.task import Spread

# Rows of all heads that are solved at once: their padded matrices have 12,000 · 34 · 8 B = 3.3 MB, stay in cache, and
# are left to the process from one group to the next. With a third more rows the system takes them back each time, and
# clears them anew: a tenth of a retraining.
GROUP = 12_000
LEAST_CURVATURE = 0.02  # p (1 − p) below this is taken as this: the cloud is never quite so sure


@dataclass(frozen=True, slots=True)
class HeadRows(Columns):
    """n training rows of devices 0 … G − 1, in any order, for H heads of each device.

    `x` (n, d) are standardised item vectors, `logit` (n, H), or (n, 1) if it is the same for all, what a head is to be
    added to, and `weight` (n, H) how much the row counts for it.
    """

    device: I64
    x: F32
    label: U8
    item: U32
    category: U32
    logit: F32
    weight: F32


def fit_heads(rows: HeadRows, devices: int, spreads: Sequence[Spread]) -> Heads:
    """Head h of device g is number g · H + h, of prior `spreads[h]`; one without rows adds nothing. Each depends on its
    own rows alone."""
    used = np.flatnonzero((rows.weight > 0).any(axis=1))
    used = used[np.argsort(rows.device[used], kind="stable")]
    device = rows.device[used]
    most = int(np.bincount(device).max(initial=0))
    step = max(1, GROUP // max(len(spreads) * most, 1))
    firsts = range(0, max(devices, 1), step)
    parts = np.split(used, np.searchsorted(device, firsts[1:]))
    return Heads.concat(
        [_fit_group(rows.take(p), f, min(step, devices - f), spreads) for p, f in zip(parts, firsts, strict=True)]
    )


def _fit_group(rows: HeadRows, first: int, devices: int, spreads: Sequence[Spread]) -> Heads:
    heads = len(spreads)
    if not len(rows):
        return Heads.none(devices * heads)
    item, category, taste, user_bias = np.array([[s.item, s.category, s.taste, s.user_bias] for s in spreads]).T
    items = _Items.of(rows, first)
    begins = np.append(True, items.category[1:] != items.category[:-1])
    starts, category_of = np.flatnonzero(begins), np.cumsum(begins) - 1
    category_key, owner = items.category[starts] & BIAS_KEY, items.device[starts]
    share = items.precision / (1 + item * items.precision)
    damping = category / (1 + category * np.add.reduceat(share, starts))

    # x, bias and the response z side by side; times the root of its share, products of two rows have all of it.
    columns = np.empty((*share.shape, DIM + 2))
    columns[:, :, :DIM] = np.sqrt(taste)[:, None] * items.x[:, None]
    columns[:, :, DIM], columns[:, :, DIM + 1] = np.sqrt(user_bias), items.response
    root = np.sqrt(share)[:, :, None]
    rooted = columns * root
    sums = np.add.reduceat(rooted * root, starts)
    gram = _squared(items.device, devices, rooted) - _squared(owner, devices, np.sqrt(damping)[:, :, None] * sums)
    along = np.linalg.solve(np.eye(DIM + 1) + gram[..., :-1, :-1], gram[..., :-1, -1:])[..., 0]
    # From here on along [x, z] lies what taste and user bias leave of z.
    remains = np.concatenate([-along, np.ones((devices, heads, 1))], axis=2)
    category_bias = damping * np.einsum("nhd,nhd->nh", sums, remains[owner])
    left = np.einsum("nhd,nhd->nh", columns, remains[items.device])
    item_bias = item * share * (left - category_bias[category_of])
    return Heads.sharing_keys(
        np.sqrt(taste)[:, None] * along[..., :-1],
        np.concatenate([items.device, owner]),
        np.concatenate([items.key, category_key]),
        np.concatenate([item_bias, category_bias]),
    )


@dataclass(frozen=True, slots=True)
class _Items:
    """The distinct items of a group's devices, by device and category; rows of one item are summed up without loss."""

    device: I64
    key: U64  # of the item's bias
    category: U64  # bias key of its category, and above it the device
    x: F32  # (m, d)
    precision: F64  # (m, H), summed curvature of the loss
    response: F64  # (m, H), the logit that the rows would rather have, minus the one they have

    @classmethod
    def of(cls, rows: HeadRows, first: int) -> Self:
        owner = (rows.device - first).astype(np.uint64) << KEY_BITS
        distinct, row, number = np.unique(owner | item_bias_key(rows.item), return_index=True, return_inverse=True)
        expected = 1 / (1 + np.exp(-np.clip(rows.logit.astype(np.float64), -60, 60)))
        weight = rows.weight.astype(np.float64)
        precision = _summed(number, weight * np.maximum(expected * (1 - expected), LEAST_CURVATURE))
        pull = _summed(number, weight * (rows.label[:, None] - expected))
        response = np.divide(pull, precision, out=np.zeros_like(pull), where=precision > 0)
        category = owner[row] | category_bias_key(rows.category[row])
        order = np.argsort(category, kind="stable")
        row = row[order]
        key = distinct[order] & BIAS_KEY
        return cls(rows.device[row] - first, key, category[order], rows.x[row], precision[order], response[order])


def _summed(number: I64, values: F64) -> F64:
    """The sums (m, H) of the rows of `values` (n, H) that have the same `number`, 0 … m − 1."""
    return np.stack([np.bincount(number, column) for column in values.T], axis=1)


def _squared(device: I64, devices: int, columns: F64) -> F64:
    """CᵀC of the rows C of each device and head, (devices, H, c, c), from all rows (n, H, c), sorted by device."""
    counts = np.bincount(device, minlength=devices)
    padded = np.zeros((devices, columns.shape[1], int(counts.max(initial=0)), columns.shape[2]))
    padded[device, :, places(counts)] = columns
    squared: F64 = padded.swapaxes(2, 3) @ padded
    return squared
