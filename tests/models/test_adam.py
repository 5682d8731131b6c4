"""The optimiser against the papers' formulas, and what training does not import."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from models.adam import BETA_1, BETA_2, EPSILON, Adam
from wire.arrays import F64

RATES = [0.1, 0.05, 0.01] * 5


def by_the_papers(model: F64, gradients: F64, decay: float) -> F64:
    mean, square = np.zeros_like(model), np.zeros_like(model)
    for t, (gradient, rate) in enumerate(zip(gradients, RATES, strict=True), start=1):
        mean = BETA_1 * mean + (1 - BETA_1) * gradient
        square = BETA_2 * square + (1 - BETA_2) * gradient**2
        step = mean / (1 - BETA_1**t) / (np.sqrt(square / (1 - BETA_2**t)) + EPSILON)
        model = model - rate * decay * model - rate * step
    return model


@pytest.mark.parametrize("decay", [0, 0.3])
def test_it_is_adam_and_weights_decay_apart_from_it(decay: float) -> None:
    rng = np.random.default_rng(0)
    starts = [rng.normal(size=shape) for shape in ((3, 4), (5,))]
    gradients = [rng.normal(size=(len(RATES), *start.shape)) for start in starts]
    models = [torch.from_numpy(start).float().requires_grad_() for start in starts]
    adam = Adam(models, decay)
    for n, rate in enumerate(RATES):
        adam.step([torch.from_numpy(each[n]).float() for each in gradients], rate)
    for model, start, gradient in zip(models, starts, gradients, strict=True):
        assert model.detach().numpy() == pytest.approx(by_the_papers(start, gradient, decay), abs=1e-5)


def test_whoever_trains_does_without_what_compiles_models() -> None:
    """It takes 1.4 s and 150 MB to import, and comes with the first step of `torch.optim`."""
    code = """
import sys
from models.cloud_trainer import train_first
from tests.models.samples import tasteful_samples
train_first([tasteful_samples(200, seed=0)], seed=0)
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
