"""Adam (Kingma & Ba, 2015) with decoupled weight decay (Loshchilov & Hutter, 2019), by torch's fused kernel.

`torch.optim` has the same, but costs small models more than the kernel does; and with its first step it imports torch's
compiler, which takes more than a second of a core and 150 MB in every process that trains.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # as Kingma & Ba propose


class Adam:
    """Moves `tensors` in place; `decay` is the share of themselves that they lose with each step, times its rate.

    >>> model = torch.ones(2)
    >>> Adam([model]).step([torch.tensor([3.0, 0.0])], rate=0.1)
    >>> model
    tensor([0.9000, 1.0000])
    """

    def __init__(self, tensors: Sequence[Tensor], decay: float = 0.0) -> None:
        self._tensors, self._decay = [tensor.detach() for tensor in tensors], decay
        self._means = [torch.zeros_like(tensor) for tensor in self._tensors]
        self._squares = [torch.zeros_like(tensor) for tensor in self._tensors]
        self._step = torch.zeros(())
        self._steps = [self._step] * len(self._tensors)

    def step(self, gradients: Sequence[Tensor], rate: float) -> None:
        """One step against the gradients, each of its tensor's shape."""
        self._step += 1
        torch._fused_adamw_(
            self._tensors,
            [*gradients],
            self._means,
            self._squares,
            [],  # maxima, which only AMSGrad has
            self._steps,
            lr=rate,
            beta1=BETA_1,
            beta2=BETA_2,
            weight_decay=self._decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )
