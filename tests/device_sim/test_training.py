"""Training many devices at once: what each learns from, and what it must not."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from device_sim.bank import PERSONAL
from device_sim.instruction import Train
from device_sim.outside import random_and_coarse
from device_sim.training import TrainingJob, TrainingResult
from device_sim.window import Window
from models.arrays import F32
from models.candidates import CandidateBatch
from models.cloud_model import DIM
from models.heads import Heads
from models.ids import item_key
from models.task import Task
from tests.device_sim.world import CATEGORIES, ITEMS, TASK, batch, cloud_model, cpu_s

MODEL = cloud_model()


def train(
    user: int, n: int = 20, *, labels: list[int] | None = None, items: list[int] | None = None, with_batch: bool = True
) -> Train:
    """A device with n samples of its own and a batch."""
    window = Window(DIM, 256, 10**12)
    rng = np.random.default_rng(user)
    for i in range(n):
        item, category = item_key(ITEMS[int(rng.integers(0, 40))]), item_key(CATEGORIES[int(rng.integers(0, 4))])
        item = item_key(ITEMS[items[i]]) if items else item
        label = labels[i] if labels else int(rng.integers(0, 2))
        window.append(item, category, label, 1000 * i, (b"", b""))
    return Train(window.rows(), batch(f"u{user}", 1) if with_batch else None, TASK, 1)


def run(trains: list[Train], task: Task = TASK) -> TrainingResult:
    users = tuple(f"u{n}" for n in range(len(trains)))
    return TrainingJob(users, tuple(trains), MODEL, task, seed=1).run(cpu_s)


LENIENT = msgspec.structs.replace(TASK, acceptance_margin=100.0)


def params(result: TrainingResult, device: int, head: str) -> F32:
    at = np.flatnonzero((result.device == device) & (result.head == PERSONAL.index(head)))
    assert len(at) == 1
    found: F32 = result.heads.params[at[0]]
    return found


def test_every_head_of_every_device_is_trained_and_differs() -> None:
    result = run([train(1), train(2)], LENIENT)
    assert [set(outcome.accepted) for outcome in result.outcomes] == [set(PERSONAL)] * 2
    cloud = Heads.copies(MODEL.head, 1).params[0]
    # A classifier that finds no border weighs all alike, and then coda's head is coarse's: leave it out.
    names = [name for name in PERSONAL if name != "coda"]
    heads = [cloud] + [params(result, device, head) for device in (0, 1) for head in names]
    distances = [np.abs(a - b).max() for n, a in enumerate(heads) for b in heads[:n]]
    assert min(distances) > 1e-4


def test_without_a_batch_only_the_local_head_is_trained() -> None:
    result = run([train(1, with_batch=False), train(2)], LENIENT)
    assert [set(outcome.accepted) for outcome in result.outcomes] == [{"local"}, set(PERSONAL)]


def test_only_the_arms_of_the_task_are_trained() -> None:
    result = run([train(1)], msgspec.structs.replace(LENIENT, arms=("cloud", "local", "coda")))
    assert set(result.outcomes[0].accepted) == {"local", "coda"}


def test_the_newest_samples_are_never_trained_on() -> None:
    labels = [n % 2 for n in range(20)]
    others = labels[:16] + [1 - label for label in labels[16:]]  # the newest fifth, told otherwise
    kept, flipped = run([train(1, labels=labels)], LENIENT), run([train(1, labels=others)], LENIENT)
    for head in PERSONAL:
        np.testing.assert_array_equal(params(kept, 0, head), params(flipped, 0, head))


def test_a_head_that_is_worse_on_the_newest_samples_is_rolled_back() -> None:
    order = np.random.default_rng(2)
    item = order.integers(0, 2, 20)
    turned = np.where(np.arange(20) < 16, item, 1 - item).tolist()  # likes one of two items; then only the other
    eager = msgspec.structs.replace(TASK, steps=60, learning_rate=0.05, acceptance_margin=0.02)
    fickle = train(1, labels=turned, items=item.tolist())
    assert not any(run([fickle], eager).outcomes[0].accepted.values())
    steady = [n % 2 for n in range(20)]
    idle = msgspec.structs.replace(TASK, steps=1, learning_rate=1e-9)
    assert all(run([train(1, labels=steady)], idle).outcomes[0].accepted.values())


def test_a_device_gets_the_same_heads_whoever_trains_beside_it() -> None:
    alone = run([train(1)], LENIENT)
    company = run([train(2), train(1), train(3, n=57), train(4, with_batch=False)], LENIENT)
    for head in PERSONAL:
        np.testing.assert_allclose(params(alone, 0, head), params(company, 1, head), atol=1e-5)


def test_as_many_random_as_matched_samples_are_used() -> None:
    uneven = batch("u0", 1, matched=12, random=30)
    even = replace(uneven, random=batch("u0", 1, random=12).random)
    counts = [_rows_of(uneven), _rows_of(even)]
    assert counts == [(12, 12), (12, 12)]


def _rows_of(one: CandidateBatch) -> tuple[int, int]:
    random, coarse = random_and_coarse([one], MODEL, with_random=True)
    return len(random), len(coarse)


def test_rows_of_another_version_are_encoded_again_and_handed_back() -> None:
    one = train(1)
    one.rows.version[:] = 1
    one.rows.version[5:8] = 0
    outcome = run([one]).outcomes[0]
    assert outcome.encoded.seq.tolist() == [5, 6, 7]
    expected = MODEL.encode(
        outcome.encoded.item, outcome.encoded.category, outcome.encoded.history_item, outcome.encoded.history_category
    )
    np.testing.assert_allclose(outcome.encoded.interest, expected.interest, atol=1e-3)


def test_compute_is_charged_to_devices_in_shares() -> None:
    ticks = iter([1.0, 3.0])
    trains = (train(1), train(2, with_batch=False))
    result = TrainingJob(("u0", "u1"), trains, MODEL, TASK, seed=1).run(lambda: next(ticks))
    assert [outcome.compute_ms for outcome in result.outcomes] == pytest.approx([1600, 400])  # four heads, one head
