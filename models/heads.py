"""Personal heads: what of the cloud model a device makes its own, tens of kB each, kept for many devices in one bank.

A head is the cloud model's last MLP, plus a bias for each item and category that its training rows name, plus
an intercept for outside samples. The intercept takes up how often *others* click, so that it does not leak
into the user's own probabilities: it is trained, and left out when own events are predicted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models import stacked
from models.arrays import F32, I64, U32, U64
from models.stacked import Layout, StackedRows
from models.training_rows import TrainingRows

HIDDEN = 32
BIAS_DECAY = 1.0  # L2 on biases, in units of the task's weight decay; ours
NO_BIAS = np.uint64(2**64 - 1)  # pads bias keys; sorts last
_CATEGORY = np.uint64(1 << 32)  # items and categories are named from one key space, so mark categories
_CHUNK = 1024  # rows predicted at once: their gathered heads stay near the cache
_BYTES_PER_BIAS = 4 + 4  # a key and a value


@dataclass(frozen=True, slots=True)
class HeadParams:
    """The MLP 3d → 32 → 1 that turns features into a logit."""

    w1: F32  # (3d, 32)
    b1: F32  # (32,)
    w2: F32  # (32,)
    b2: F32  # (1,)

    @property
    def layout(self) -> Layout:
        """How the head lies in a flat row."""
        return Layout(*self.w1.shape)

    def flat(self) -> F32:
        """All parameters in one row, (size,)."""
        return np.concatenate([self.w1.ravel(), self.b1, self.w2, self.b2])


@dataclass(slots=True)
class Heads:
    """G personal heads. `params` (G, size + 1) holds each MLP and then its outside intercept.

    `bias_keys` (G, S) are sorted per head and padded with `NO_BIAS`; `bias_values` (G, S) go with them.
    """

    layout: Layout
    params: F32
    bias_keys: U64
    bias_values: F32

    def __len__(self) -> int:
        return len(self.params)

    @classmethod
    def copies(cls, template: HeadParams, count: int) -> Self:
        """`count` heads that predict exactly as the cloud head does."""
        flat = np.append(template.flat(), np.float32(0))
        return cls(
            template.layout,
            np.tile(flat, (count, 1)),
            np.zeros((count, 0), np.uint64),
            np.zeros((count, 0), np.float32),
        )

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """All heads of `parts` (at least one, of one layout), in order."""
        width = max(part.bias_keys.shape[1] for part in parts)
        keys = np.concatenate([_widen(part.bias_keys, width, NO_BIAS) for part in parts])
        values = np.concatenate([_widen(part.bias_values, width, 0) for part in parts])
        return cls(parts[0].layout, np.concatenate([part.params for part in parts]), keys, values)

    def take(self, which: I64) -> Self:
        """Copies of the heads `which`, in that order."""
        width = int((self.bias_keys[which] != NO_BIAS).sum(axis=1).max(initial=0))
        return type(self)(
            self.layout, self.params[which], self.bias_keys[which, :width], self.bias_values[which, :width]
        )

    def put(self, which: I64, heads: Self) -> None:
        """Replace the heads `which` (distinct) by `heads`; the bank's bias columns grow as needed."""
        width = max(self.bias_keys.shape[1], heads.bias_keys.shape[1])
        self.bias_keys = _widen(self.bias_keys, width, NO_BIAS)
        self.bias_values = _widen(self.bias_values, width, 0)
        self.params[which] = heads.params
        self.bias_keys[which] = _widen(heads.bias_keys, width, NO_BIAS)
        self.bias_values[which] = _widen(heads.bias_values, width, 0)

    @property
    def nbytes(self) -> I64:
        """What each head takes on its device: float32 parameters and (key, value) pairs, shape (G,)."""
        biases = (self.bias_keys != NO_BIAS).sum(axis=1)
        each: I64 = self.params.itemsize * self.params.shape[1] + _BYTES_PER_BIAS * biases
        return each

    def shifted(self, amount: F32) -> Self:
        """The same heads with `amount` (G,) added to every logit."""
        params = self.params.copy()
        params[:, self.layout.size - 1] += amount
        return type(self)(self.layout, params, self.bias_keys, self.bias_values)

    def logits(self, which: I64, features: F32, item: U32, category: U32) -> F32:
        """Logits (r,) of own events: row r is predicted by head `which[r]`."""
        out = np.empty(len(which), np.float32)
        for at in range(0, len(which), _CHUNK):
            rows = slice(at, at + _CHUNK)
            out[rows] = self._mlp(which[rows], features[rows])
        return out + self.biases(which, item, category)

    def biases(self, which: I64, item: U32, category: U32) -> F32:
        """What head `which[r]` adds (r,) for the item and the category of row r."""
        return self._bias(which, item.astype(np.uint64)) + self._bias(which, category.astype(np.uint64) | _CATEGORY)

    def _mlp(self, which: I64, features: F32) -> F32:
        flat = torch.from_numpy(self.params[which])
        x = torch.from_numpy(np.ascontiguousarray(features, np.float32))[:, None, :]
        none = torch.zeros((len(which), 1, 0), dtype=torch.int64)
        logit: F32 = stacked.logits(self.layout, flat, x, none)[:, 0].numpy()
        return logit

    def _bias(self, which: I64, keys: U64) -> F32:
        """The bias that head `which[r]` has for `keys[r]`, else 0: one binary search in all rows at once."""
        width = self.bias_keys.shape[1]
        if width == 0:
            return np.zeros(len(which), np.float32)
        low, high = np.zeros(len(which), np.int64), np.full(len(which), width)
        while (low < high).any():
            middle = (low + high) // 2
            below = (low < high) & (self.bias_keys[which, np.minimum(middle, width - 1)] < keys)
            low, high = np.where(below, middle + 1, low), np.where(below, high, np.minimum(middle, high))
        at = np.minimum(low, width - 1)
        return np.where(self.bias_keys[which, at] == keys, self.bias_values[which, at], np.float32(0))


def fit_heads(
    template: HeadParams,
    rows: TrainingRows,
    *,
    steps: int,
    learning_rate: float,
    weight_decay: float,
    seed: int = 0,
    batch_rows: int = stacked.BATCH_ROWS,
) -> Heads:
    """Train one head per pair of `rows`, from the cloud head and zero biases, all in one stacked Adam loop.

    Loss of a head: weighted mean cross-entropy of its rows, plus `weight_decay` / 2 times the squared distance
    from the cloud head and the squared biases. A pair without rows gets the cloud head back. A head depends on
    its own rows, the settings and the seed, not on the pairs beside it.
    """
    fit = partial(
        _fit_group,
        template,
        steps=steps,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        seed=seed,
        batch_rows=batch_rows,
    )
    groups = range(0, max(len(rows), 1), stacked.GROUP)
    return Heads.concat([fit(rows.take(slice(g, g + stacked.GROUP))) for g in groups])


def centred(template: HeadParams, heads: Heads, rows: TrainingRows) -> Heads:
    """`heads` (one per pair of `rows`) shifted so that over each pair's own rows they agree with the cloud head on
    average: what is left of a head is how it ranks. `models.level` keeps the level.
    """
    own = (rows.weight > 0) & (rows.outside == 0)
    pair, place = np.nonzero(own)
    x, none = torch.from_numpy(rows.features), torch.zeros((*rows.label.shape, 0), dtype=torch.int64)
    cloud = torch.from_numpy(template.flat()).expand(len(rows), -1)
    mine, theirs = (stacked.logits(heads.layout, p, x, none).numpy() for p in (torch.from_numpy(heads.params), cloud))
    difference = (mine - theirs)[pair, place] + heads.biases(pair, rows.item[own], rows.category[own])
    count = np.maximum(np.bincount(pair, minlength=len(rows)), 1)
    return heads.shifted((-np.bincount(pair, difference, len(rows)) / count).astype(np.float32))


def _fit_group(
    template: HeadParams,
    rows: TrainingRows,
    *,
    steps: int,
    learning_rate: float,
    weight_decay: float,
    seed: int,
    batch_rows: int,
) -> Heads:
    layout, pairs = template.layout, len(rows)
    biases = _Biases.of(rows)
    width = layout.width(1 + biases.keys.shape[1])
    intercept, first_bias, dead = layout.size, layout.size + 1, width - 1
    start = torch.zeros((stacked.padded(pairs), width))
    start[:, : layout.size] = torch.from_numpy(template.flat())
    decay = torch.full((width,), weight_decay)
    decay[intercept] = 0
    decay[first_bias:] *= BIAS_DECAY
    bias_slots = np.where(biases.slots >= 0, biases.slots + first_bias, dead)
    slots = np.concatenate([bias_slots, np.where(rows.outside > 0, intercept, dead)[:, :, None]], axis=2)
    data = StackedRows(*(_pad_group(a) for a in (rows.features, rows.label, rows.weight, slots)))
    draws = stacked.draw(np.append(rows.counts, np.zeros(len(start) - pairs, np.int64)), steps, batch_rows, seed)
    flat = stacked.fit(layout, start, data, draws, learning_rate=learning_rate, decay=decay)[:pairs].numpy()
    values = np.where(biases.keys == NO_BIAS, np.float32(0), flat[:, first_bias : first_bias + biases.keys.shape[1]])
    return Heads(layout, flat[:, :first_bias].copy(), biases.keys, values)


@dataclass(frozen=True, slots=True)
class _Biases:
    """The distinct items and categories of each pair, numbered: keys (G, S), and slots (G, n, 2), -1 for none."""

    keys: U64
    slots: I64

    @classmethod
    def of(cls, rows: TrainingRows) -> Self:
        pair, place = np.nonzero(rows.weight > 0)
        owner = pair.astype(np.uint64) << np.uint64(33)
        item = owner | rows.item[pair, place]
        category = owner | _CATEGORY | rows.category[pair, place]
        distinct, number = np.unique(np.concatenate([item, category]), return_inverse=True)
        owners = (distinct >> np.uint64(33)).astype(np.int64)
        first = np.searchsorted(owners, np.arange(len(rows)))
        within = np.arange(len(distinct)) - first[owners]
        keys = np.full((len(rows), int(within.max(initial=-1)) + 1), NO_BIAS)
        keys[owners, within] = distinct & np.uint64((1 << 33) - 1)
        slots = np.full((*rows.label.shape, 2), -1, np.int64)
        slots[pair, place] = within[number].reshape(2, -1).T
        return cls(keys, slots)


def _pad_group(column: NDArray[Any]) -> Tensor:
    short = stacked.padded(len(column)) - len(column)
    return torch.from_numpy(np.pad(column, [(0, short)] + [(0, 0)] * (column.ndim - 1)))


def _widen(column: NDArray[Any], width: int, fill: Any) -> NDArray[Any]:
    return np.pad(column, [(0, 0), (0, width - column.shape[1])], constant_values=fill)
