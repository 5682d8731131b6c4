from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sim.parameter_store import ParameterStore, Rows, turns
from device_sim.parameters import Parameters
from models.base import NONE
from models.blend import FREE, HEADS, PERSONAL
from models.cloud_model import DIM, sigmoid
from models.heads import Heads, category_bias_key, item_bias_key
from models.prior_variance import KINDS
from tests.device_sim.world import CATEGORIES, ITEMS, cloud_model
from wire.arrays import F64, I64
from wire.ids import item_keys
from wire.sample import HISTORY_LEN
from wire.task import ARMS, CLASSIFIER_STEPS, Task

FACTORS = np.ones(len(KINDS))


@given(st.lists(st.integers(0, 5), max_size=40))
def test_turns_take_one_event_of_each_device_at_a_time_in_order(slots: list[int]) -> None:
    taken = turns(np.array(slots, np.int64))
    assert sorted(row for turn in taken for row in turn.tolist()) == list(range(len(slots)))
    for turn in taken:
        assert len({slots[row] for row in turn}) == len(turn)
    for slot in set(slots):
        rows = [row for turn in taken for row in turn.tolist() if slots[row] == slot]
        assert rows == sorted(rows)


def store(devices: int) -> ParameterStore:
    made = ParameterStore(scores=True)
    made.models = {model.id.key: model for model in (cloud_model(1), cloud_model(2))}
    for _ in range(devices):
        made.add()
    return made


def rows(slots: list[int], seed: int = 0, version: int = 1, step_ms: int = 0) -> Rows:
    """Events of these slots, `step_ms` apart."""
    rng, n = np.random.default_rng(seed), len(slots)
    history = item_keys([ITEMS[i] for i in rng.integers(0, 40, n * HISTORY_LEN)]).reshape(n, -1)
    return Rows(
        np.array(slots, np.int64),
        np.full(n, cloud_model(version).id.key),
        1 + step_ms * np.arange(n),
        item_keys([ITEMS[i] for i in rng.integers(0, 40, n)]),
        item_keys([CATEGORIES[i] for i in rng.integers(0, 4, n)]),
        rng.integers(0, 2, n).astype(np.uint8),
        rng.integers(0, 3, n).astype(np.uint8),
        rng.integers(0, 10**6, n).astype(np.uint32),
        history,
        history,
        np.full(n, NONE, np.float32),
        np.zeros(n, np.bool_),
    )


def part(all_rows: Rows, at: slice) -> Rows:
    return Rows(*(getattr(all_rows, name)[at] for name in Rows.__dataclass_fields__))


def personal_heads(count: int, seed: int) -> Heads:
    """Heads with tastes of some strength and a bias for every fifth item and one category each."""
    rng = np.random.default_rng(seed)
    items = item_keys(ITEMS[::5])
    head = np.repeat(np.arange(count), len(items) + 1)
    key = np.append(item_bias_key(items), category_bias_key(item_keys([CATEGORIES[seed % 4]])))
    return Heads.of(rng.normal(0, 1, (count, DIM)), head, np.tile(key, count), rng.normal(0, 0.5, len(head)))


def test_before_any_training_every_arm_is_the_cloud() -> None:
    some = rows([0, 1, 1, 2])
    predicted = store(3).predict(some)
    model = cloud_model(1)
    interests = model.interests(some.item, some.category, some.history_item, some.history_category)
    logits = model.logits(model.features(interests, some.item, some.category))
    for arm in range(len(ARMS)):
        np.testing.assert_allclose(predicted.arms[:, arm], sigmoid(logits), atol=1e-6)
    np.testing.assert_allclose(predicted.logit, logits, atol=1e-6)


def test_where_an_event_says_what_the_service_expected_that_takes_the_cloud_model_s_place() -> None:
    some = rows([0, 1, 2])
    said = store(3).predict(replace(some, base=np.array([0.5, NONE, -2], np.float32)))
    np.testing.assert_allclose(said.arms[[0, 2]], np.repeat([[0.622459], [0.119203]], len(ARMS), axis=1), atol=1e-6)
    np.testing.assert_allclose(said.arms[1], store(3).predict(some).arms[1], atol=1e-6)


@pytest.mark.parametrize(
    ("head", "arms", "without"),
    [
        ("coarse", ["coarse"], ["coarse", "coda"]),
        ("random", ["random", "coarse", "mpda", "coda"], ["random", "coarse", "mpda", "coda"]),
        ("random-habit", ["random"], ["random"]),
        ("coarse-habit", ["coarse"], ["coarse", "coda"]),
        ("mpda", ["mpda"], ["mpda"]),
        ("coda-like", ["coda"], []),
        ("local-habit", list(ARMS[1:]), list(ARMS[1:])),
    ],
)
@pytest.mark.parametrize("classifier", [True, False])
def test_only_the_arms_that_use_a_head_change_with_it(
    head: str, arms: list[str], without: list[str], classifier: bool
) -> None:
    plain, changed = store(2), store(2)
    for slot, each in product((0, 1), (plain, changed)):
        each.configure(slot, Task(task_version=1, classifier_steps=CLASSIFIER_STEPS if classifier else 0))
    changed.keep(np.array([1]), np.array([PERSONAL.index(head)]), personal_heads(1, seed=4), FACTORS)
    before, after = plain.predict(rows([0, 1])).arms, changed.predict(rows([0, 1])).arms
    different = np.abs(before - after) > 1e-6
    assert not different[0].any()
    assert [arm for arm, d in zip(ARMS, different[1], strict=True) if d] == (arms if classifier else without)


def all_heads(made: ParameterStore, devices: int) -> ParameterStore:
    pairs: I64 = np.arange(devices * len(PERSONAL))
    made.keep(pairs // len(PERSONAL), pairs % len(PERSONAL), personal_heads(len(pairs), seed=1), FACTORS)
    return made


@pytest.mark.parametrize("cut", [1, 7, 20])
def test_predictions_do_not_depend_on_how_events_are_batched(cut: int) -> None:
    slots = np.random.default_rng(5).integers(0, 6, 40).tolist()
    together, apart = all_heads(store(6), 6), all_heads(store(6), 6)
    events = rows(slots, step_ms=400)
    whole = together.predict(events)
    parts = [apart.predict(part(events, slice(at, at + cut))) for at in range(0, 40, cut)]
    np.testing.assert_allclose(whole.arms, np.concatenate([p.arms for p in parts]), atol=1e-6)
    np.testing.assert_allclose(together.blend.loss, apart.blend.loss, atol=1e-4)
    np.testing.assert_allclose(together.user_bias.state, apart.user_bias.state, atol=1e-6)


def test_the_loss_of_an_event_counts_only_from_the_next_one_on() -> None:
    one, other = all_heads(store(1), 1), all_heads(store(1), 1)
    some = rows([0, 0])
    flipped = replace(some, label=1 - some.label)
    first, second = one.predict(some).arms, other.predict(flipped).arms
    np.testing.assert_array_equal(first[0], second[0])
    assert np.abs(first[1] - second[1]).max() > 0


def test_a_users_bias_moves_every_arm_but_the_cloud_from_the_next_moment_on() -> None:
    made = store(1)
    eager = replace(rows([0] * 50, step_ms=1000), label=np.ones(50, np.uint8))
    arms = made.predict(eager).arms
    cloud, gain = arms[:, 0], arms - arms[:, :1]
    np.testing.assert_allclose(gain[0], 0, atol=1e-6)
    assert (gain[-1, 1:] > 0.05).all()
    np.testing.assert_array_equal(cloud, store(1).predict(replace(eager, label=1 - eager.label)).arms[:, 0])


def test_scores_leave_the_users_bias_out_and_rank_a_moment_as_probabilities_do() -> None:
    made = store(1)
    made.predict(replace(rows([0] * 50, step_ms=1000), label=np.ones(50, np.uint8)))
    page = made.predict(replace(rows([0] * 20, seed=1), timestamp=np.full(20, 10**6)))
    fresh = store(1).predict(replace(rows([0] * 20, seed=1), timestamp=np.full(20, 10**6)))
    assert (page.arms[:, 1:] > fresh.arms[:, 1:] + 0.01).all()
    np.testing.assert_allclose(page.scores, fresh.scores, atol=1e-4)
    assert (np.argsort(fresh.scores, axis=0) == np.argsort(fresh.arms, axis=0)).all()


def test_repeats_move_every_arm_but_the_cloud_as_the_devices_task_says() -> None:
    def gain(times: int) -> F64:
        some = replace(rows([0, 1]), times=np.full(2, times, np.uint8))
        made = store(2)
        made.configure(1, Task(task_version=1, repeats={"taken": 2.0}))
        return made.predict(some).arms - store(2).predict(some).arms

    assert (gain(times=1)[1, 1:] > 0.05).all()
    np.testing.assert_array_equal(gain(times=1)[:, 0], 0, err_msg="the cloud's arm")
    np.testing.assert_array_equal(gain(times=1)[0], 0, err_msg="a device without such a task")
    np.testing.assert_array_equal(gain(times=0), 0, err_msg="items that are new to their user")


def test_devices_on_different_versions_are_predicted_by_their_own() -> None:
    mixed = rows([0, 1])
    mixed.model[1] = cloud_model(2).id.key
    predicted = store(2).predict(mixed).arms
    for n, version in ((0, 1), (1, 2)):
        alone = store(2).predict(part(rows([0, 1], version=version), slice(n, n + 1))).arms
        np.testing.assert_allclose(predicted[n], alone[0], atol=1e-6)


def test_the_store_grows_and_keeps_what_it_has() -> None:
    made = all_heads(store(3), 3)
    before = made.predict(rows([0, 1, 2])).arms
    for _ in range(200):
        made.add()
    made.blend.loss[:] = 0
    np.testing.assert_allclose(made.predict(rows([0, 1, 2])).arms, before, atol=1e-6)
    made.keep(np.array([150]), np.array([0]), personal_heads(1, seed=2), FACTORS)
    taste, keys = 4 * DIM, len(ITEMS[::5]) + 1
    assert made.heads_bytes(150) == taste + keys * (4 + 4)
    assert made.heads_bytes(0) == len(PERSONAL) * taste + keys * (4 + 4 * len(PERSONAL))
    assert made.heads_bytes(151) == 0


def test_forgotten_heads_leave_the_cloud() -> None:
    made = all_heads(store(1), 1)
    made.forget(0)
    plain = store(1)
    np.testing.assert_array_equal(made.predict(rows([0])).arms, plain.predict(rows([0])).arms)
    assert made.heads_bytes(0) == 0


def test_models_nobody_uses_go() -> None:
    made = store(1)
    used = cloud_model(1).id.key
    made.drop_models({used})
    assert set(made.models) == {used}


def test_every_head_has_a_loss() -> None:
    predicted = store(1).predict(rows([0]))
    assert predicted.head_losses.shape == (1, len(HEADS))
    assert (predicted.head_losses > 0).all()


def test_what_is_taken_out_of_a_bank_and_put_into_another_predicts_the_same_to_the_bit() -> None:
    made, other = store(4), store(150)
    task = Task(task_version=1, repeats={"again": 0.5})
    made.configure(2, task)
    made.keep(np.array([2, 2, 3]), np.array([0, 7, 1]), personal_heads(3, seed=5), FACTORS)
    for seed in range(3):
        made.predict(rows([0, 2, 3, 2], seed, step_ms=1000))
    other.keep(np.array([140]), np.array([0]), personal_heads(1, seed=6), FACTORS)
    other.configure(140, task)
    other.put(140, made.take(2))
    for seed in range(3, 6):
        expected, got = made.predict(rows([2, 2, 2], seed)), other.predict(rows([140, 140, 140], seed))
        np.testing.assert_array_equal(expected.arms, got.arms)
        np.testing.assert_array_equal(expected.head_losses, got.head_losses)
    taken = made.take(2)
    back = Parameters.restore(taken.heads_state(), taken.weights_state())
    assert (back.heads_state(), back.weights_state()) == (taken.heads_state(), taken.weights_state())


def test_a_slot_that_is_given_back_predicts_as_a_new_one() -> None:
    made = store(2)
    made.keep(np.array([0]), np.array([3]), personal_heads(1, seed=5), FACTORS)
    made.predict(rows([0, 0, 0], step_ms=1000))
    made.release(0)
    expected, got = made.predict(rows([1, 1], seed=8)), made.predict(rows([made.add()] * 2, seed=8))
    np.testing.assert_array_equal(expected.arms, got.arms)


def trained(devices: int) -> ParameterStore:
    """Devices with a head each that thinks much of some items and little of others."""
    made = store(devices)
    for slot in range(devices):
        heads = Heads.none(1)
        heads.taste[:] = 3.0
        made.keep(np.array([slot]), np.array([PERSONAL.index("local")]), heads, FACTORS)
    return made


def test_unproven_heads_are_charged_and_predict_nothing() -> None:
    asked = rows([0] * 5, step_ms=1000)
    out = trained(1).predict(replace(asked, unproven=np.ones(5, np.bool_)))
    used = trained(1).predict(asked)
    np.testing.assert_array_equal(out.head_losses, used.head_losses)
    np.testing.assert_array_equal(out.leans, used.leans)
    np.testing.assert_array_equal(out.residuals, used.residuals)
    coda = ARMS.index("coda")
    both = np.exp(-out.head_losses[:, FREE])
    chance = np.where(asked.label[:, None] > 0, both, 1 - both)
    assert (out.arms[:, coda] >= chance.min(axis=1)).all() and (out.arms[:, coda] <= chance.max(axis=1)).all()
    assert not np.allclose(out.arms[:, coda], used.arms[:, coda])


def test_heads_help_where_they_lean_the_way_of_the_residual_and_lean_nowhere_where_there_are_none() -> None:
    asked = rows([0] * 40, step_ms=1000)
    assert (store(1).predict(asked).leans == 0).all()
    made = trained(1)
    out = made.predict(asked)
    local, cloud = ((out.leans * out.residuals)[:, ARMS.index(arm)] for arm in ("local", "cloud"))
    helped = out.head_losses[:, HEADS.index("local")] < out.head_losses[:, HEADS.index("adjusted")]
    np.testing.assert_array_equal(local > 0, helped)
    assert (cloud == 0).all() and helped.any() and not helped.all()
