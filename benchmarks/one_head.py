"""A personal head the way one makes one model: a dense solve in numpy, or a torch module and Adam. Yardsticks."""

import numpy as np
import torch
from torch import Tensor, nn

from models.head_fit import HeadRows
from models.heads import Heads, category_bias_key, item_bias_key
from wire.task import Spread

STEPS, LEARNING_RATE = 50, 0.05  # of Adam: its logits then correlate .999 with the solve's


def solve_one_head(rows: HeadRows, spread: Spread) -> Heads:
    """The head of `rows` (all of one head) by the covariance of all of them: what `models.head_fit` must give."""
    n = len(rows)
    x, logit, weight = (a.astype(np.float64) for a in (rows.x, rows.logit[:, 0], rows.weight[:, 0]))
    expected = 1 / (1 + np.exp(-logit))
    curvature = weight * expected * (1 - expected)
    covariance = (
        spread.item * (rows.item[:, None] == rows.item)
        + spread.category * (rows.category[:, None] == rows.category)
        + spread.taste * (x @ x.T)
        + spread.user_bias
        + np.diag(1 / curvature)
    )
    dual = np.linalg.solve(covariance, weight * (rows.label - expected) / curvature)
    keys = np.concatenate([item_bias_key(rows.item), category_bias_key(rows.category)])
    values = np.concatenate([spread.item * dual, spread.category * dual])
    return Heads.of(spread.taste * (x.T @ dual)[None], np.zeros(2 * n, np.int64), keys, values)


class OneHead(nn.Module):
    """The parts of one head as parameters, and their prior variances."""

    def __init__(self, items: int, categories: int, dim: int, spread: Spread) -> None:
        super().__init__()
        self.taste, self.user_bias = nn.Parameter(torch.zeros(dim)), nn.Parameter(torch.zeros(1))
        self.item, self.category = nn.Parameter(torch.zeros(items)), nn.Parameter(torch.zeros(categories))
        self.spread = spread

    def forward(self, x: Tensor, item: Tensor, category: Tensor) -> Tensor:
        """What is added to the logits of rows with vectors x (n, d) and table rows (n,)."""
        return x @ self.taste + self.item[item] + self.category[category] + self.user_bias

    def prior(self) -> Tensor:
        """How unlikely the parameters are a priori: their negative log density, but for a constant."""
        parts = [getattr(self, name).square().sum() / getattr(self.spread, name) for name in Spread.__struct_fields__]
        return torch.stack(parts).sum() / 2


def train_one_head(rows: HeadRows, spread: Spread) -> OneHead:
    """The logistic loss of `rows` (all of one head) and the prior, by `STEPS` steps of Adam on all rows."""
    x, logit, weight = (torch.from_numpy(a) for a in (rows.x, rows.logit[:, 0], rows.weight[:, 0]))
    label = torch.from_numpy(rows.label.astype(np.float32))
    item, category = (torch.from_numpy(np.unique(a, return_inverse=True)[1]) for a in (rows.item, rows.category))
    head = OneHead(int(item.max()) + 1, int(category.max()) + 1, x.shape[1], spread)
    adam = torch.optim.Adam(head.parameters(), lr=LEARNING_RATE)
    for _ in range(STEPS):
        adam.zero_grad()
        mine = logit + head(x, item, category)
        fit = nn.functional.binary_cross_entropy_with_logits(mine, label, weight, reduction="sum")
        (fit + head.prior()).backward()  # type: ignore[no-untyped-call]
        adam.step()
    return head
