import numpy as np
import pytest
import torch

from models.classifier import MAX_RATIO, Verdict, classifier_inputs, fit_classifiers
from wire.arrays import F32, I64

WIDTH = 10


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def devices(counts: list[tuple[int, int]], shift: float, seed: int = 0) -> tuple[F32, F32, I64, I64]:
    """Own rows are centred at `shift` in two inputs, outside rows at 0; padding holds what must not matter."""
    rng = np.random.default_rng(seed)
    own, others = np.array(counts).T
    local = rng.normal(size=(len(counts), max(own.max(), 1), WIDTH)).astype(np.float32)
    local[:, :, :2] += shift
    outside = rng.normal(size=(len(counts), max(others.max(), 1), WIDTH)).astype(np.float32)
    return local, outside, own.astype(np.int64), others.astype(np.int64)


def judge(data: tuple[F32, F32, I64, I64]) -> Verdict:
    return fit_classifiers(*data, steps=60, learning_rate=0.02, seed=1)


def test_it_finds_a_border_that_is_there() -> None:
    data = devices([(128, 300)] * 8, shift=1.0)
    verdict = judge(data)
    assert verdict.auc.min() > 0.65 and verdict.auc.mean() > 0.75
    log_ratio = np.log(verdict.ratio)
    true = data[1][:, :, :2].sum(axis=2) - 1.0  # of two unit Gaussians, 1 apart in two inputs
    assert np.corrcoef(log_ratio.ravel(), np.clip(true, -np.log(5), np.log(5)).ravel())[0, 1] > 0.7
    assert 0.3 < verdict.ratio.mean() < 1.5


def test_without_a_border_outside_samples_weigh_about_one() -> None:
    verdict = judge(devices([(128, 300)] * 16, shift=0.0))
    assert abs(np.nanmean(verdict.auc) - 0.5) < 0.06
    assert verdict.temperature.mean() < 0.3
    assert np.abs(np.log(verdict.ratio)).mean() < 0.3


def test_too_few_samples_leave_every_weight_at_one() -> None:
    verdict = judge(devices([(3, 100), (0, 100), (50, 2), (50, 0)], shift=2.0))
    assert (verdict.temperature == 0).all() and np.isnan(verdict.auc).all()
    assert (verdict.ratio[0] == 1).all() and (verdict.ratio[1] == 1).all()
    assert verdict.ratio[2, :2].tolist() == [1, 1] and (verdict.ratio[3] == 0).all()


def test_padding_weighs_nothing_and_never_matters() -> None:
    local, outside, own, others = devices([(40, 60), (100, 200)], shift=1.0)
    verdict = fit_classifiers(local, outside, own, others, steps=30, learning_rate=0.02)
    assert (verdict.ratio[0, 60:] == 0).all()
    local[0, 40:], outside[0, 60:] = 1e6, -1e6
    again = fit_classifiers(local, outside, own, others, steps=30, learning_rate=0.02)
    np.testing.assert_array_equal(again.ratio, verdict.ratio)


def test_a_verdict_is_the_same_to_the_bit_whoever_is_in_the_group() -> None:
    local, outside, own, others = devices([(40 + g, 90 + g) for g in range(72)], shift=0.5)
    whole = fit_classifiers(local, outside, own, others, steps=30, learning_rate=0.02)
    part = fit_classifiers(local[:8, :47], outside[:8, :97], own[:8], others[:8], steps=30, learning_rate=0.02)
    np.testing.assert_array_equal(part.ratio, whole.ratio[:8, :97])
    np.testing.assert_array_equal(part.auc, whole.auc[:8])


def test_ratios_are_clipped() -> None:
    ratio = judge(devices([(128, 300)] * 8, shift=5.0)).ratio
    assert ratio.min() >= 1 / MAX_RATIO - 1e-6 and ratio.max() <= MAX_RATIO + 1e-6


def test_the_classifier_sees_the_label_and_by_how_much_the_cloud_was_wrong() -> None:
    """Neither whose sample it is nor of which item: either would give the owner away."""
    inputs = classifier_inputs(np.array([1, 0, 1, 1], np.uint8), np.array([0, 0, 100, -100], np.float32))
    np.testing.assert_allclose(inputs, np.array([[1, 0.5], [0, -0.5], [1, 0], [1, 1]]), atol=1e-6)
