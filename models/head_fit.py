"""Training personal heads: exact ridge regression on what the cloud model got wrong, many heads at once.

A head's additions are Gaussian a priori: taste ~ N(0, `taste`·I), each item's bias ~ N(0, `item`), each category's
~ N(0, `category`), and the user's level ~ N(0, `level`), which takes up how much more or less they click and is then
left out (`models.level` keeps it). The logistic loss is taken to second order around the logits that samples have
without the head (one Newton step; additions are small, and what they are not the blend notices), so its minimum is a
linear solve and there is no learning rate, number of steps or seed. This is ours; 50 steps of Adam on a copy of the
cloud's MLP (3,200 parameters from a few hundred samples) lost .006 to .009 GAUC to the cloud model on ml-100k
where this wins .005, and took ten times as long (docs/research.md).

The solve is cheap because items lie in categories. With z the working response of the n distinct items of a head and
N its noise, the covariance of z is

    K = diag(item + N) + category · [same category] + X Xᵀ,    X (n, d + 1): taste and level

The first two are diagonal and rank one per category (Sherman-Morrison), the last has rank d + 1 (Woodbury):
n·(d + 1)² operations instead of n³. With A the inverse of the first two, u = (I + XᵀAX)⁻¹ XᵀAz are taste and level;
of what is left, z − Xu, each category takes its shrunken mean as bias, and each item its part of the rest.
"""

from dataclasses import dataclass
from typing import Self

import msgspec
import numpy as np

from models.arrays import F32, F64, I64, U8, U32, U64
from models.cloud_model import DIM
from models.columns import Columns
from models.heads import Heads, category_bias_key, item_bias_key
from models.runs import places

# Heads solved at once. Of 1,000 items each, their padded matrices have 16 · 1,000 · 34 · 8 B = 4.4 MB and stay in the
# cache: with 64, whole retrainings took 1.2 to 1.4 times as long (`benchmarks.training`).
GROUP = 16
_LEAST_CURVATURE = 0.02  # p (1 − p) below this is taken as this: the cloud is never quite so sure; ours
_OWNER = np.uint64(33)  # bias keys have 33 bits


class Spread(msgspec.Struct, frozen=True):
    """Prior variances of a head's parts, in squared logits."""

    item: float
    category: float
    taste: float
    level: float


@dataclass(frozen=True, slots=True)
class HeadRows(Columns):
    """n training rows of heads 0 … G − 1, in any order; `x` (n, d) are standardised item vectors, `logit` is what the
    head is to be added to."""

    head: I64
    x: F32
    logit: F32
    label: U8
    weight: F32
    item: U32
    category: U32


def fit_heads(rows: HeadRows, heads: int, spread: Spread) -> Heads:
    """Heads 0 … `heads` − 1 from their rows; one without rows adds nothing. Each depends on its own rows alone."""
    used = rows.take(np.flatnonzero(rows.weight > 0))
    order = np.argsort(used.head, kind="stable")
    firsts = range(0, max(heads, 1), GROUP)
    parts = np.split(order, np.searchsorted(used.head[order], firsts[1:]))
    return Heads.concat(
        [_fit_group(used.take(p), f, min(GROUP, heads - f), spread) for p, f in zip(parts, firsts, strict=True)]
    )


def _fit_group(rows: HeadRows, first: int, heads: int, spread: Spread) -> Heads:
    if not len(rows):
        return Heads.none(heads)
    items = _Items.of(rows, first)
    begins = np.append(True, items.category[1:] != items.category[:-1])
    starts, category_of = np.flatnonzero(begins), np.cumsum(begins) - 1
    category, owner = items.category[starts], items.head[starts]
    share = 1 / (spread.item + 1 / items.precision)
    damping = spread.category / (1 + spread.category * np.add.reduceat(share, starts))

    # x and the response z side by side, each row times the root of its share: products of two rows have all of it.
    root = np.sqrt(share)[:, None]
    level = np.full((len(root), 1), np.sqrt(spread.level))
    rooted = np.concatenate([np.sqrt(spread.taste) * items.x, level, items.response[:, None]], axis=1) * root
    sums = np.add.reduceat(rooted * root, starts, axis=0)
    gram = _squared(items.head, heads, rooted) - _squared(owner, heads, np.sqrt(damping)[:, None] * sums)
    along = np.linalg.solve(np.eye(DIM + 1) + gram[:, :-1, :-1], gram[:, :-1, -1:])[:, :, 0]
    # From here on along [x, z] lies what taste and level leave of z.
    remains = np.concatenate([-along, np.ones((heads, 1))], axis=1)
    category_bias = damping * np.einsum("nd,nd->n", sums, remains[owner])
    left = np.einsum("nd,nd->n", rooted, remains[items.head]) / root[:, 0]
    item_bias = spread.item * share * (left - category_bias[category_of])
    return Heads.of(
        np.sqrt(spread.taste) * along[:, :-1],
        np.concatenate([items.head, owner]),
        np.concatenate([items.key, category & np.uint64((1 << 33) - 1)]),
        np.concatenate([item_bias, category_bias]),
    )


@dataclass(frozen=True, slots=True)
class _Items:
    """The distinct items of a group's heads, by head and category; rows of one item are summed up without loss."""

    head: I64
    key: U64  # of the item's bias
    category: U64  # bias key of its category, and above it the head
    x: F32  # (n, d)
    precision: F64  # summed curvature of the loss
    response: F64  # the logit that the rows would rather have, minus the one they have

    @classmethod
    def of(cls, rows: HeadRows, first: int) -> Self:
        owner = (rows.head - first).astype(np.uint64) << _OWNER
        _, row, number = np.unique(owner | item_bias_key(rows.item), return_index=True, return_inverse=True)
        expected = 1 / (1 + np.exp(-np.clip(rows.logit.astype(np.float64), -60, 60)))
        weight = rows.weight.astype(np.float64)
        curvature = weight * np.maximum(expected * (1 - expected), _LEAST_CURVATURE)
        precision = np.bincount(number, curvature).astype(np.float64)
        response: F64 = np.divide(np.bincount(number, weight * (rows.label - expected)), precision)
        category = owner[row] | category_bias_key(rows.category[row])
        order = np.argsort(category, kind="stable")
        row = row[order]
        key = item_bias_key(rows.item[row])
        return cls(rows.head[row] - first, key, category[order], rows.x[row], precision[order], response[order])


def _squared(head: I64, heads: int, columns: F64) -> F64:
    """CᵀC of each head's rows C, (heads, c, c), from the rows (n, c) of all, sorted by head."""
    counts = np.bincount(head, minlength=heads)
    padded = np.zeros((heads, int(counts.max(initial=0)), columns.shape[1]))
    padded[head, places(counts)] = columns
    squared: F64 = padded.transpose(0, 2, 1) @ padded
    return squared
