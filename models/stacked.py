"""Many small MLPs trained as one: the step that the personal heads and the sample classifiers share.

A device's model is so small that a training step on it is mostly call overhead. Here G models lie in one
matrix, a row each, and a step is a handful of batched matrix products over all of them; Adam is elementwise,
so one call updates every model, and each gets exactly what it would get alone. Rows are padded to whole
cache lines of floats and groups to multiples of 8, so results do not depend, to the bit, on who else is in the group.

A model is one hidden layer plus *additive slots*: single numbers added to the logit (an item's bias, an
intercept). A row of data names its slots by column; the dead column adds zero and learns nothing.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.arrays import F32, I64

GROUP = 64  # models per stacked step: at 256 the working set leaves the cache and products cost 12 % more (measured)
MULTIPLE = 8  # group sizes are padded to this, so that batched products take the same path
_FLOATS_PER_LINE = 16
BATCH_ROWS = 32  # rows per model and step; ours: more costs time in proportion and won nothing on ml-100k


@dataclass(frozen=True, slots=True)
class Layout:
    """Where one MLP inputs → hidden → 1 lies in a flat row: w1, b1, w2, b2, then the slots."""

    inputs: int
    hidden: int

    @property
    def size(self) -> int:
        """Floats of the MLP alone; slots start at this column."""
        return (self.inputs + 2) * self.hidden + 1

    def width(self, slots: int) -> int:
        """Columns of a row with `slots` additive slots and at least one dead column, which is the last."""
        return -(-(self.size + slots + 1) // _FLOATS_PER_LINE) * _FLOATS_PER_LINE

    def views(self, flat: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """w1 (G, inputs, hidden), b1 (G, 1, hidden), w2 (G, hidden, 1), b2 (G, 1) inside `flat` (G, ≥ size)."""
        ends = np.cumsum([self.inputs * self.hidden, self.hidden, self.hidden, 1]).tolist()
        w1, b1, w2, b2 = (flat[:, end - n : end] for end, n in zip(ends, np.diff([0, *ends]), strict=True))
        return w1.view(-1, self.inputs, self.hidden), b1[:, None, :], w2[:, :, None], b2


@dataclass(frozen=True, slots=True)
class StackedRows:
    """n training rows for each of G models: x (G, n, inputs), label and weight (G, n), slots (G, n, k) columns."""

    x: Tensor
    label: Tensor
    weight: Tensor
    slots: Tensor


def initial(layout: Layout, seed: int) -> F32:
    """One freshly initialised MLP, flat (size,): He for the hidden layer, zeros for the output."""
    rng = np.random.default_rng(seed)
    flat = np.zeros(layout.size, np.float32)
    n = layout.inputs * layout.hidden
    flat[:n] = rng.normal(0, np.sqrt(2 / layout.inputs), n)
    flat[n + layout.hidden : -1] = rng.normal(0, 0.1, layout.hidden)
    return flat


def draw(counts: I64, steps: int, batch_rows: int, seed: int) -> Tensor:
    """Row indices (steps, G, batch_rows) below `counts` (G,), the same quantiles for every model.

    Each batch is spread evenly over a model's rows, so own and outside rows keep their shares in it, and a
    model's draws depend on its own count and the seed alone.
    """
    rng = np.random.default_rng(seed)
    quantile = (np.arange(batch_rows) + rng.random((steps, batch_rows))) / batch_rows
    rows = (quantile[:, None, :] * counts[None, :, None]).astype(np.int64)
    return torch.from_numpy(np.clip(rows, 0, np.maximum(counts - 1, 0)[None, :, None]))


@torch.inference_mode()
def logits(layout: Layout, flat: Tensor, x: Tensor, slots: Tensor) -> Tensor:
    """Logits (G, b) of rows x (G, b, inputs) under the models of `flat` (G, width)."""
    w1, b1, w2, b2 = layout.views(flat)
    hidden = torch.baddbmm(b1, x, w1).relu_()
    return torch.bmm(hidden, w2).squeeze(2) + b2 + _slot_sum(flat, slots)


@torch.no_grad()
def fit(
    layout: Layout, start: Tensor, rows: StackedRows, draws: Tensor, *, learning_rate: float, decay: Tensor
) -> Tensor:
    """Train the models of `start` (G, width) on `rows`, one Adam step per batch of `draws`; returns (G, width).

    The loss of each model is its weighted mean cross-entropy plus `decay` / 2 times the squared distance
    from where it started, per column (width,). G must be a multiple of `MULTIPLE`.
    """
    assert len(start) % MULTIPLE == 0, "pad the group"
    model = torch.nn.Parameter(start.clone())
    gradient = torch.zeros_like(start)
    model.grad = gradient
    adam = torch.optim.Adam([model], lr=learning_rate, fused=True)
    weight = rows.weight * _scale(rows.weight, draws)
    offset = (torch.arange(len(start)) * rows.x.shape[1])[:, None]
    for drawn in draws:
        at = (drawn + offset).flatten()
        batch = StackedRows(*(_at(t, at, drawn) for t in (rows.x, rows.label, weight, rows.slots)))
        _gradient(layout, model.data, batch, gradient)
        gradient += decay * (model.data - start)
        adam.step()
    return model.data


def _at(rows: Tensor, at: Tensor, drawn: Tensor) -> Tensor:
    """The drawn rows of each model, (G, b, …)."""
    return rows.flatten(0, 1).index_select(0, at).view(*drawn.shape, *rows.shape[2:])


def _scale(weight: Tensor, draws: Tensor) -> Tensor:
    """What turns weights into shares of a batch: 1 / the weight that an average batch of the model has, (G, 1)."""
    steps, _, batch_rows = draws.shape
    drawn = weight.gather(1, draws.transpose(0, 1).flatten(1))
    total = drawn.sum(1, keepdim=True, dtype=torch.float64) / steps
    return torch.where(total > 0, 1 / total.clamp(min=1e-9 * batch_rows), 0).to(weight.dtype)


def _gradient(layout: Layout, flat: Tensor, batch: StackedRows, out: Tensor) -> None:
    """Fill `out` with the gradient of each model's batch loss; by hand, which is twice as fast as autograd here."""
    w1, b1, w2, b2 = layout.views(flat)
    d_w1, d_b1, d_w2, d_b2 = layout.views(out)
    hidden = torch.baddbmm(b1, batch.x, w1).relu_()
    logit = torch.bmm(hidden, w2).squeeze(2) + b2 + _slot_sum(flat, batch.slots)
    d_logit = (logit.sigmoid_() - batch.label) * batch.weight
    d_hidden = (d_logit[:, :, None] * w2.transpose(1, 2)).mul_(hidden > 0)
    d_w1.copy_(torch.bmm(batch.x.transpose(1, 2), d_hidden))
    torch.sum(d_hidden, 1, keepdim=True, out=d_b1)
    d_w2.copy_(torch.bmm(hidden.transpose(1, 2), d_logit[:, :, None]))
    torch.sum(d_logit, 1, keepdim=True, out=d_b2)
    _slot_gradient(layout, d_logit, batch.slots, out)


def _slot_sum(flat: Tensor, slots: Tensor) -> Tensor:
    return flat.gather(1, slots.flatten(1)).view(slots.shape).sum(2)


def _slot_gradient(layout: Layout, d_logit: Tensor, slots: Tensor, out: Tensor) -> None:
    out[:, layout.size :] = 0
    out.scatter_add_(1, slots.flatten(1), d_logit[:, :, None].expand(slots.shape).flatten(1))
    out[:, -1] = 0  # the dead column


def padded(group: int) -> int:
    """The group size that `group` models are padded to."""
    return -(-group // MULTIPLE) * MULTIPLE
