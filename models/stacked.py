"""Many small MLPs trained as one: how the sample classifiers of many devices learn.

A classifier is so small that a training step on it is mostly call overhead. Here G models lie in one
matrix, a row each, and a step is a handful of batched matrix products over all of them; Adam is elementwise,
so one call updates every model, and each gets exactly what it would get alone. Rows are padded to whole
cache lines of floats and groups to multiples of 8, so results do not depend, to the bit, on who else is in the group.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.adam import Adam
from wire.arrays import F32, I64

GROUP = 64  # models per stacked step: at 256 the working set leaves the cache and products cost 12 % more (measured)
MULTIPLE = 8  # group sizes are padded to this, so that batched products take the same path
_FLOATS_PER_LINE = 16
BATCH_ROWS = 32  # rows per model and step: more cost time in proportion and win nothing


@dataclass(frozen=True, slots=True)
class Layout:
    """Where one MLP inputs → hidden → 1 lies in a flat row: w1, b1, w2, b2, then zeros up to a whole cache line."""

    inputs: int
    hidden: int

    @property
    def width(self) -> int:
        """Columns of a row."""
        return -(-((self.inputs + 2) * self.hidden + 1) // _FLOATS_PER_LINE) * _FLOATS_PER_LINE

    def views(self, flat: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """w1 (G, inputs, hidden), b1 (G, 1, hidden), w2 (G, hidden, 1), b2 (G, 1) inside `flat` (G, width)."""
        ends = np.cumsum([self.inputs * self.hidden, self.hidden, self.hidden, 1]).tolist()
        w1, b1, w2, b2 = (flat[:, end - n : end] for end, n in zip(ends, np.diff([0, *ends]), strict=True))
        return w1.view(-1, self.inputs, self.hidden), b1[:, None, :], w2[:, :, None], b2


@dataclass(frozen=True, slots=True)
class StackedRows:
    """n training rows for each of G models: x (G, n, inputs), label and weight (G, n)."""

    x: Tensor
    label: Tensor
    weight: Tensor


def initial(layout: Layout, seed: int) -> F32:
    """One freshly initialised MLP, flat (width,): He for the hidden layer, small numbers for the output's."""
    rng = np.random.default_rng(seed)
    flat = np.zeros(layout.width, np.float32)
    n = layout.inputs * layout.hidden
    flat[:n] = rng.normal(0, np.sqrt(2 / layout.inputs), n)
    flat[n + layout.hidden : n + 2 * layout.hidden] = rng.normal(0, 0.1, layout.hidden)
    return flat


def draw(counts: I64, steps: int, batch_rows: int, seed: int) -> Tensor:
    """Row indices (steps, G, batch_rows) below `counts` (G,), the same quantiles for every model.

    Each batch is spread evenly over a model's rows, and a model's draws depend on its own count and the seed alone.
    """
    rng = np.random.default_rng(seed)
    quantile = (np.arange(batch_rows) + rng.random((steps, batch_rows))) / batch_rows
    rows = (quantile[:, None, :] * counts[None, :, None]).astype(np.int64)
    return torch.from_numpy(np.clip(rows, 0, np.maximum(counts - 1, 0)[None, :, None]))


@torch.inference_mode()
def logits(layout: Layout, flat: Tensor, x: Tensor) -> Tensor:
    """Logits (G, b) of rows x (G, b, inputs) under the models of `flat` (G, width)."""
    w1, b1, w2, b2 = layout.views(flat)
    hidden = torch.baddbmm(b1, x, w1).relu_()
    return torch.bmm(hidden, w2).squeeze(2) + b2


@torch.inference_mode()
def fit(
    layout: Layout, start: Tensor, rows: StackedRows, draws: Tensor, *, learning_rate: float, decay: float
) -> Tensor:
    """Train the models of `start` (G, width) on `rows`, one Adam step per batch of `draws`; returns (G, width).

    The loss of each model is its weighted mean cross-entropy plus `decay` / 2 times the squared distance
    from where it started. G must be a multiple of `MULTIPLE`.
    """
    assert len(start) % MULTIPLE == 0, "pad the group"
    model, gradient, moved = start.clone(), torch.zeros_like(start), torch.empty_like(start)
    descent, adam = _Descent(layout, model, gradient), Adam([model])
    for batch in _batches(rows, draws):
        descent.fill(batch)
        gradient.add_(torch.sub(model, start, out=moved), alpha=decay)
        adam.step([gradient], learning_rate)
    return model


def _batches(rows: StackedRows, draws: Tensor) -> Iterator[StackedRows]:
    """The drawn rows, step by step; what is small is gathered for all steps at once."""
    weight = rows.weight * _scale(rows.weight, draws)
    at = draws + (torch.arange(draws.shape[1]) * rows.x.shape[1])[:, None]
    label, weight = (t.flatten(0, 1)[at] for t in (rows.label, weight))
    x = rows.x.flatten(0, 1)
    for step, drawn in enumerate(at):
        batch_x = x.index_select(0, drawn.flatten()).view(*drawn.shape, -1)
        yield StackedRows(batch_x, label[step], weight[step])


def _scale(weight: Tensor, draws: Tensor) -> Tensor:
    """What turns weights into shares of a batch: 1 / the weight that an average batch of the model has, (G, 1)."""
    steps, _, batch_rows = draws.shape
    drawn = weight.gather(1, draws.transpose(0, 1).flatten(1))
    total = drawn.sum(1, keepdim=True, dtype=torch.float64) / steps
    return torch.where(total > 0, 1 / total.clamp(min=1e-9 * batch_rows), 0).to(weight.dtype)


class _Descent:
    """Fills `out` with the gradient of each model's batch loss; by hand, which is twice as fast as autograd here.

    Both tensors stay the same over all steps, so their views are made once.
    """

    def __init__(self, layout: Layout, flat: Tensor, out: Tensor) -> None:
        self._w1, self._b1, self._w2, b2 = layout.views(flat)
        self._b2, self._w2_across = b2[:, :, None], self._w2.transpose(1, 2)
        self._d_w1, self._d_b1, self._d_w2, self._d_b2 = layout.views(out)

    def fill(self, batch: StackedRows) -> None:
        """The gradient by this batch."""
        hidden = torch.baddbmm(self._b1, batch.x, self._w1).relu_()
        logit = torch.baddbmm(self._b2, hidden, self._w2).squeeze(2)
        d_logit = logit.sigmoid_().sub_(batch.label).mul_(batch.weight)
        d_each = d_logit[:, :, None]
        torch.bmm(hidden.transpose(1, 2), d_each, out=self._d_w2)
        d_hidden = (d_each * self._w2_across).mul_(hidden.sign_())  # of a relu: 1 where it let something through
        torch.bmm(batch.x.transpose(1, 2), d_hidden, out=self._d_w1)
        torch.sum(d_hidden, 1, keepdim=True, out=self._d_b1)
        torch.sum(d_logit, 1, keepdim=True, out=self._d_b2)


def padded(group: int) -> int:
    """The group size that `group` models are padded to."""
    return -(-group // MULTIPLE) * MULTIPLE
