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
n·(d + 1)² operations instead of n³.
"""

from dataclasses import dataclass
from typing import Self

import msgspec
import numpy as np

from models.arrays import F32, F64, I64, U8, U32, U64
from models.columns import Columns
from models.heads import Heads, category_bias_key, item_bias_key
from models.runs import places

GROUP = 64  # heads solved at once: their padded (n, d + 1) matrices stay within some 10 MB
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
    x = np.concatenate([np.sqrt(spread.taste) * items.x, np.full((len(items.head), 1), np.sqrt(spread.level))], axis=1)
    category, category_of = np.unique(items.category, return_inverse=True)
    share = 1 / (spread.item + 1 / items.precision)
    damping = spread.category / (1 + spread.category * np.bincount(category_of, share))

    def solved_without_taste(columns: F64) -> F64:
        scaled = columns * share[:, None]
        sums = _sums(scaled, category_of, len(category))
        return scaled - share[:, None] * (damping[:, None] * sums)[category_of]

    both = solved_without_taste(np.concatenate([x, items.response[:, None]], axis=1))
    x_padded, both_padded = _padded(items.head, heads, x), _padded(items.head, heads, both)
    gram = x_padded.transpose(0, 2, 1) @ both_padded
    width = x.shape[1]
    along = np.linalg.solve(np.eye(width) + gram[:, :, :width], gram[:, :, width:])[:, :, 0]
    dual = both[:, width] - np.einsum("nd,nd->n", both[:, :width], along[items.head])
    taste = np.sqrt(spread.taste) * (x_padded.transpose(0, 2, 1) @ _padded(items.head, heads, dual[:, None]))[:, :-1, 0]
    owner = (category >> _OWNER).astype(np.int64)
    return Heads.of(
        taste,
        np.concatenate([items.head, owner]),
        np.concatenate([items.key, category & np.uint64((1 << 33) - 1)]),
        np.concatenate([spread.item * dual, spread.category * np.bincount(category_of, dual)]),
    )


@dataclass(frozen=True, slots=True)
class _Items:
    """The distinct items of a group's heads; rows of one item of one head are summed up without loss."""

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
        return cls(rows.head[row] - first, item_bias_key(rows.item[row]), category, rows.x[row], precision, response)


def _sums(columns: F64, group: I64, groups: int) -> F64:
    """Column sums (groups, c) of rows (n, c) by group."""
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(groups))
    sums: F64 = np.add.reduceat(columns[order], starts, axis=0)
    return sums


def _padded(head: I64, heads: int, columns: F64) -> F64:
    """Rows (n, c), sorted by head, as (heads, most rows of one, c) with zeros behind."""
    counts = np.bincount(head, minlength=heads)
    out = np.zeros((heads, int(counts.max(initial=0)), columns.shape[1]))
    out[head, places(counts)] = columns
    return out
