"""A personal head the way one trains one model: a torch module, autograd, torch's Adam. Oracle and yardstick.

It sees the batches that `models.stacked` draws, so that both do the same arithmetic up to rounding.
"""

import numpy as np
import torch
from torch import Tensor, nn

from models.arrays import F32, U32
from models.heads import HeadParams
from models.stacked import BATCH_ROWS, draw
from models.training_rows import TrainingRows


class OneHead(nn.Module):
    """The MLP, a bias per item and category that the rows name, and the outside intercept."""

    def __init__(self, template: HeadParams, items: U32, categories: U32) -> None:
        super().__init__()
        inputs, hidden = template.w1.shape
        self.hidden, self.out = nn.Linear(inputs, hidden), nn.Linear(hidden, 1)
        for parameter, value in zip(
            (self.hidden.weight, self.hidden.bias, self.out.weight, self.out.bias),
            (template.w1.T, template.b1, template.w2[None], template.b2),
            strict=True,
        ):
            parameter.data.copy_(torch.from_numpy(np.ascontiguousarray(value)))
        self.items, self.categories = np.unique(items), np.unique(categories)
        # The last row of each table stands for what has no bias.
        self.item_bias = nn.Parameter(torch.zeros(len(self.items) + 1))
        self.category_bias = nn.Parameter(torch.zeros(len(self.categories) + 1))
        self.intercept = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, item: Tensor, category: Tensor, outside: Tensor) -> Tensor:
        """Logits (b,) of features (b, inputs) and table rows (b,)."""
        mlp: Tensor = self.out(torch.relu(self.hidden(x)))[:, 0]
        return mlp + self.item_bias[item] + self.category_bias[category] + self.intercept * outside

    def logits(self, features: F32, item: U32, category: U32) -> F32:
        """Logits (n,) of own events."""
        with torch.no_grad():
            x, none = torch.from_numpy(features), torch.zeros(len(item))
            logit: F32 = self(x, _row(self.items, item), _row(self.categories, category), none).numpy()
        return logit


def train_one_head(
    template: HeadParams, rows: TrainingRows, *, steps: int, learning_rate: float, weight_decay: float, seed: int = 0
) -> OneHead:
    """Train on the first pair of `rows`; the loss is that of `models.heads.fit_heads`."""
    used = slice(0, int(rows.counts[0]))
    x, label, weight, outside = (
        torch.from_numpy(a[0, used]) for a in (rows.features, rows.label, rows.weight, rows.outside)
    )
    head = OneHead(template, rows.item[0, used], rows.category[0, used])
    if not len(label):
        return head
    item, category = _row(head.items, rows.item[0, used]), _row(head.categories, rows.category[0, used])
    draws = draw(rows.counts[:1], steps, BATCH_ROWS, seed)[:, 0]
    per_batch = weight[draws].sum() / steps
    pulled = [(p, p.detach().clone()) for p in head.parameters() if p is not head.intercept]
    adam = torch.optim.Adam(head.parameters(), lr=learning_rate)
    for at in draws:
        adam.zero_grad()
        logit = head(x[at], item[at], category[at], outside[at])
        losses = nn.functional.binary_cross_entropy_with_logits(logit, label[at], reduction="none")
        distance = torch.stack([((p - start) ** 2).sum() for p, start in pulled]).sum()
        loss = (losses * weight[at]).sum() / per_batch + weight_decay / 2 * distance
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    return head


def _row(known: U32, keys: U32) -> Tensor:
    at = np.searchsorted(known, keys)
    found = known[np.minimum(at, len(known) - 1)] == keys if len(known) else np.zeros(len(keys), bool)
    return torch.from_numpy(np.where(found, at, len(known)))
