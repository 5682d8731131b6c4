import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.adam import Adam
from models.stacked import Layout, StackedRows, draw, fit, initial, logits

LAYOUT = Layout(4, 3)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=9), st.integers(0, 5))
def test_draws_are_rows_of_the_model_and_do_not_depend_on_the_others(counts: list[int], seed: int) -> None:
    drawn = draw(np.array(counts), 3, 8, seed)
    assert drawn.shape == (3, len(counts), 8)
    for number, count in enumerate(counts):
        mine = drawn[:, number]
        assert (mine >= 0).all() and (mine < max(count, 1)).all()
        assert (draw(np.array([count]), 3, 8, seed)[:, 0] == mine).all()


def test_every_batch_spreads_evenly_over_the_rows() -> None:
    drawn = draw(np.array([80]), 50, 8, seed=0)[:, 0]
    assert (drawn // 10 == torch.arange(8)).all()


def some_rows(models: int, n: int, seed: int = 0) -> StackedRows:
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.normal(size=(models, n, 4)).astype(np.float32))
    label = (x[:, :, 0] > 0).float()
    return StackedRows(x, label, torch.ones((models, n)))


def start_of(models: int) -> torch.Tensor:
    return torch.from_numpy(initial(LAYOUT, seed=1)).repeat(models, 1)


def test_what_lies_in_the_padding_does_not_matter() -> None:
    rows, counts = some_rows(8, 40), np.full(8, 30)
    trained = fit(LAYOUT, start_of(8), rows, draw(counts, 20, 16, 0), learning_rate=0.05, decay=0.01)
    rows.x[:, 30:], rows.label[:, 30:] = 1e6, 1
    again = fit(LAYOUT, start_of(8), rows, draw(counts, 20, 16, 0), learning_rate=0.05, decay=0.01)
    assert torch.equal(trained, again)
    mine = logits(LAYOUT, trained, rows.x[:, :30])
    assert ((mine > 0) == (rows.label[:, :30] > 0)).float().mean() > 0.9


def test_it_is_adam_on_the_weighted_cross_entropy() -> None:
    rows = some_rows(8, 24)
    weight = np.random.default_rng(1).random((8, 24)).astype(np.float32)
    rows = StackedRows(rows.x, rows.label, torch.from_numpy(weight))
    start, draws, decay = start_of(8), draw(np.full(8, 24), 10, 8, 0), 0.05
    trained = fit(LAYOUT, start, rows, draws, learning_rate=0.05, decay=decay)
    for n in range(8):
        model = start[n].clone().requires_grad_()
        adam = Adam([model])
        share = rows.weight[n] / (rows.weight[n][draws[:, n]].sum() / len(draws))
        for drawn in draws[:, n]:
            w1, b1, w2, b2 = LAYOUT.views(model[None])
            logit = (torch.relu(rows.x[n, drawn] @ w1[0] + b1[0]) @ w2[0])[:, 0] + b2[0]
            losses = torch.nn.functional.binary_cross_entropy_with_logits(logit, rows.label[n, drawn], reduction="none")
            loss = (losses * share[drawn]).sum() + (decay * (model - start[n]) ** 2).sum() / 2
            adam.step(torch.autograd.grad(loss, [model]), rate=0.05)
        assert torch.allclose(trained[n], model.detach(), atol=1e-5)


def test_without_weight_a_model_stays_where_it_started() -> None:
    rows = some_rows(8, 16)
    rows.weight[3] = 0
    trained = fit(LAYOUT, start_of(8), rows, draw(np.full(8, 16), 5, 8, 0), learning_rate=0.05, decay=0)
    assert torch.equal(trained[3], start_of(8)[3]) and not torch.equal(trained[2], start_of(8)[2])


def test_rows_of_models_start_on_cache_lines() -> None:
    assert [Layout(4, hidden).width for hidden in (1, 2, 3, 8)] == [16, 16, 32, 64]
