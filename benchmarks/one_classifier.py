"""A sample classifier the way one trains one model: a torch module, autograd, torch's Adam. Oracle and yardstick."""

import torch
from torch import Tensor, nn

from models import stacked
from models.classifier import DECAY, HIDDEN
from models.stacked import BATCH_ROWS, Layout, draw
from wire.arrays import F32


def train_one_classifier(own: F32, others: F32, *, steps: int, learning_rate: float, seed: int = 0) -> nn.Module:
    """Train on standardised own and outside rows (n, c), with the batches and the start of `models.classifier`."""
    layout = Layout(own.shape[1], HIDDEN)
    net = nn.Sequential(nn.Linear(layout.inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))
    _start(net, layout, seed)
    x = torch.from_numpy(own), torch.from_numpy(others)
    half = BATCH_ROWS // 2
    counts = torch.tensor([len(own), len(others)]).numpy()
    draws = draw(counts, steps, half, seed)
    label = torch.cat([torch.ones(half), torch.zeros(half)])
    pulled = [(p, p.detach().clone()) for p in net.parameters()]
    adam = torch.optim.Adam(net.parameters(), lr=learning_rate)
    for at in draws:
        adam.zero_grad()
        logit = net(torch.cat([x[0][at[0]], x[1][at[1]]]))[:, 0]
        distance = torch.stack([((p - start) ** 2).sum() for p, start in pulled]).sum()
        loss = nn.functional.binary_cross_entropy_with_logits(logit, label) + DECAY / 2 * distance
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    return net


def _start(net: nn.Sequential, layout: Layout, seed: int) -> None:
    w1, b1, w2, b2 = layout.views(torch.from_numpy(stacked.initial(layout, seed))[None])
    values: list[Tensor] = [w1[0].T, b1[0, 0], w2[0].T, b2[0]]
    for parameter, value in zip(net.parameters(), values, strict=True):
        parameter.data.copy_(value)
