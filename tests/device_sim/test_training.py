"""Training many devices at once: what each learns from, and what it must not."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from device_sim.instruction import Train
from device_sim.outside import random_and_coarse
from device_sim.training import TrainingJob, TrainingResult
from device_sim.window import Window
from models.blend import PERSONAL, personal_heads
from models.cloud_model import CloudModel
from tests.device_sim.world import CATEGORIES, ITEMS, TASK, batch, cloud_model, cpu_s
from wire.arrays import F32
from wire.batch import packed
from wire.candidates import CandidateBatch
from wire.ids import item_key, item_keys
from wire.moments import EventMs
from wire.task import Task

MODEL = cloud_model()
OUTSIDE = {"random", "coarse", "mpda", "coda"}
LENIENT = msgspec.structs.replace(TASK, acceptance_margin=100.0)
CERTAIN = replace(MODEL, trained_until=10**12)


def train(
    user: int, n: int = 20, *, labels: list[int] | None = None, items: list[int] | None = None, with_batch: bool = True
) -> Train:
    """A device with n samples of its own, at 1, 2, … s, and a batch."""
    window = Window(256, 10**12)
    rng = np.random.default_rng(user)
    for i in range(n):
        item, category = item_key(ITEMS[int(rng.integers(0, 40))]), item_key(CATEGORIES[int(rng.integers(0, 4))])
        item = item_key(ITEMS[items[i]]) if items else item
        label = labels[i] if labels else int(rng.integers(0, 2))
        window.append(item, category, label, 1000 * (i + 1), taken=(0, 0), history=(b"", b""))
    rows, unencoded = window.rows(), window.unencoded()
    return Train(rows, unencoded, packed(batch(f"u{user}", 1)) if with_batch else None, TASK, MODEL.id, EventMs(10**12))


def run(trains: list[Train], task: Task = TASK, model: CloudModel = MODEL) -> TrainingResult:
    users = tuple(f"u{n}" for n in range(len(trains)))
    return TrainingJob(users, tuple(trains), model, task, seed=1).run(cpu_s)


def adds(result: TrainingResult, device: int, head: str) -> F32:
    """What a head that passed adds to every item in every category."""
    at = np.flatnonzero((result.device == device) & (result.head == PERSONAL.index(head)))
    assert len(at) == 1
    item, category = item_keys(ITEMS).repeat(4), np.tile(item_keys(CATEGORIES), 40)
    x = MODEL.standardised(MODEL.item_vectors(item, category))
    return result.heads.added(np.full(len(item), at[0]), x, item, category)


def test_every_head_of_every_device_is_trained_and_differs() -> None:
    result = run([train(1, 40), train(2, 40)], LENIENT)
    assert [set(outcome.accepted) for outcome in result.devices] == [set(PERSONAL)] * 2
    # A classifier that finds no border weighs all alike, and then coda's heads are coarse's: leave them out.
    names = [name for name in PERSONAL if not name.startswith("coda")]
    heads = [np.float32(0)] + [adds(result, device, head) for device in (0, 1) for head in names]
    distances = [np.abs(a - b).max() for n, a in enumerate(heads) for b in heads[:n]]
    assert min(distances) > 1e-4


def test_a_head_makes_what_the_user_takes_likelier() -> None:
    items = [n % 2 for n in range(20)]
    result = run([train(1, labels=items, items=items)], LENIENT)
    for head in PERSONAL:
        added = adds(result, 0, head)
        assert added[4:8].min() > added[:4].max(), head  # in any category: item 1, always taken, against item 0


def test_what_outside_samples_say_of_items_the_user_never_met_is_in_the_heads() -> None:
    one = batch("u0", 1)
    told = one.matched.label.astype(np.int64)
    matched = replace(one.matched, item=np.where(told, item_keys([ITEMS[8]]), item_keys([ITEMS[9]])))
    result = run([msgspec.structs.replace(train(1, items=ITEM), batch=packed(replace(one, matched=matched)))], LENIENT)
    for head in ("coarse", "coarse-habit", "coda", "coda-habit", "coda-like"):
        added = adds(result, 0, head)
        assert added[4 * 8 : 4 * 9].min() > added[4 * 9 : 4 * 10].max(), head


def test_what_repeats_say_already_heads_need_not_learn() -> None:
    """Item 0 was taken again and again, item 1 never."""
    fond = train(1, labels=[1 - n % 2 for n in range(20)], items=ITEM, with_batch=False)
    again = np.where(fond.rows.label == 1, np.arange(20) // 2, 0).astype(np.uint8)
    told = msgspec.structs.replace(fond, rows=replace(fond.rows, times=again))
    expecting = msgspec.structs.replace(LENIENT, repeats={"taken": 2.0})
    alone, explained = (adds(run([told], task), 0, "local-habit") for task in (LENIENT, expecting))
    assert 0 < explained[:4].min() < alone[:4].min()


def test_without_a_batch_only_the_local_heads_are_trained() -> None:
    result = run([train(1, with_batch=False), train(2)], LENIENT)
    assert [set(outcome.accepted) for outcome in result.devices] == [{"local", "local-habit"}, set(PERSONAL)]


def test_without_random_samples_matched_ones_still_teach() -> None:
    matched_only = msgspec.structs.replace(train(1), batch=packed(batch("u0", 1, random=0)))
    (outcome,) = run([matched_only], LENIENT).devices
    assert set(outcome.accepted) == set(PERSONAL) - {"random", "random-habit"}


def test_only_the_arms_of_the_task_are_trained() -> None:
    result = run([train(1)], msgspec.structs.replace(LENIENT, arms=("cloud", "local", "coda")))
    assert set(result.devices[0].accepted) == set(personal_heads("coda", classifier=True))
    result = run([train(1)], msgspec.structs.replace(LENIENT, arms=("cloud", "random")))
    assert set(result.devices[0].accepted) == {"local", "local-habit", "random", "random-habit"}
    result = run([train(1)], msgspec.structs.replace(LENIENT, arms=("cloud",)))
    assert result.devices[0].accepted == {} and len(result.heads) == 0


def test_without_a_classifier_coda_learns_as_coarse_does_and_none_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    with_one = run([train(1, 40), train(2, 40)], LENIENT)
    monkeypatch.setattr("device_sim.outside.fit_classifiers", None)
    off = msgspec.structs.replace(LENIENT, classifier_steps=0)
    (named,) = {frozenset(each.accepted) for each in run([train(1, 40), train(2, 40)], off).devices}
    assert named == {head for head in PERSONAL if not head.startswith("coda")}
    alone = run([train(1, 40), train(2, 40)], msgspec.structs.replace(off, arms=("cloud", "coda")))
    assert set(alone.devices[0].accepted) == {"local", "local-habit", "coarse", "coarse-habit", "random"}
    for head in ("coarse", "coarse-habit"):
        np.testing.assert_allclose(adds(alone, 0, head), adds(with_one, 0, head), atol=1e-5)


ITEM = [n % 2 for n in range(20)]
FAITHFUL = [n % 2 for n in range(20)]  # likes one of two items
FICKLE = [n % 2 if n < 16 else 1 - n % 2 for n in range(20)]  # and in the newest fifth only the other one


def test_a_head_that_is_worse_on_the_newest_samples_is_rolled_back() -> None:
    result = run([train(1, labels=FICKLE, items=ITEM), train(2, labels=FAITHFUL, items=ITEM)])
    fickle, faithful = result.devices
    assert not any(fickle.accepted.values()) and all(faithful.accepted.values())
    assert set(result.device.tolist()) == {1} and len(result.heads) == len(PERSONAL)


def test_heads_are_judged_by_what_older_samples_taught_and_then_learn_from_all() -> None:
    """Had a head seen the newest samples before its test, it would pass: they are the only ones with item 2."""
    items = [n % 2 for n in range(16)] + [2] * 4
    only_newest = train(1, labels=[n % 2 for n in range(16)] + [1] * 4, items=items, with_batch=False)
    strict = msgspec.structs.replace(TASK, acceptance_margin=-0.05)
    assert not any(run([only_newest], strict).devices[0].accepted.values())
    assert adds(run([only_newest], LENIENT), 0, "local-habit")[8:12].min() > 0.3, "it was not rolled back and learned"


@pytest.mark.parametrize(("unknown", "passes"), [(20, False), (4, False), (1, False), (0, True)])
def test_what_the_cloud_model_has_learned_from_is_no_test(unknown: int, passes: bool) -> None:
    """The cloud always looks better there: of the newest fifth it is what comes after that heads are judged by."""
    fickle = train(1, labels=FICKLE, items=ITEM)
    model = replace(MODEL, trained_until=1000 * (20 - unknown))
    assert set(run([fickle], model=model).devices[0].accepted.values()) == {passes}


def test_a_model_that_says_to_have_learned_from_tomorrow_is_not_believed_and_heads_are_tested() -> None:
    fickle = msgspec.structs.replace(train(1, labels=FICKLE, items=ITEM), event_time=EventMs(20_000))
    believable, beyond = (replace(MODEL, trained_until=20_000 + ahead) for ahead in (3_600_000, 86_400_000))
    assert set(run([fickle], model=believable).devices[0].accepted.values()) == {True}, "there is nothing to test on"
    assert set(run([fickle], model=beyond).devices[0].accepted.values()) == {False}


def test_where_all_is_known_to_the_cloud_model_nothing_is_held_back() -> None:
    shares = [msgspec.structs.replace(TASK, holdback_share=share) for share in (0.9, 0.2)]
    most, fewer = (run([train(1, labels=FICKLE, items=ITEM)], task, CERTAIN) for task in shares)
    for head in PERSONAL:
        np.testing.assert_array_equal(adds(most, 0, head), adds(fewer, 0, head))


def test_one_sample_is_enough_for_a_head() -> None:
    result = run([train(1, 1, labels=[1], items=[3], with_batch=False)], LENIENT)
    assert adds(result, 0, "local")[12:16].min() > 0


def test_a_device_gets_the_same_heads_whoever_trains_beside_it() -> None:
    alone = run([train(1)], LENIENT)
    company = run([train(2), train(1), train(3, n=57), train(4, with_batch=False)], LENIENT)
    for head in PERSONAL:
        np.testing.assert_allclose(adds(alone, 0, head), adds(company, 1, head), atol=1e-5)


def test_the_fewer_own_samples_the_less_of_what_outside_ones_say_is_believed() -> None:
    def plain(**changes: float) -> Task:
        return msgspec.structs.replace(LENIENT, plain=msgspec.structs.replace(LENIENT.plain, **changes))

    counts = (2, 20, 60)
    doubting = run([train(n, n) for n in counts], plain(trust=0.8, doubt=20.0))
    for device, n in enumerate(counts):
        sure = run([train(n, n)], plain(trust=0.8 * n / (n + 20), doubt=0.0))
        for head in OUTSIDE:
            np.testing.assert_allclose(adds(doubting, device, head), adds(sure, 0, head), atol=1e-5)


def test_as_many_random_as_matched_samples_are_used() -> None:
    uneven = batch("u0", 1, matched=12, random=30)
    even = replace(uneven, random=batch("u0", 1, random=12).random)
    counts = [_rows_of(uneven), _rows_of(even)]
    assert counts == [(12, 12), (12, 12)]


def _rows_of(one: CandidateBatch) -> tuple[int, int]:
    random, coarse = random_and_coarse([one], MODEL, {})
    return len(random), len(coarse)


def test_rows_without_a_logit_are_encoded_and_their_logits_handed_back() -> None:
    whole = train(1)
    missing, new = whole.unencoded.take(slice(5, 8)), run([whole]).devices[0]
    known = new.logits.copy()
    known[5:8] = np.nan
    some = msgspec.structs.replace(whole, rows=replace(whole.rows, logit=known), unencoded=missing)
    results = [run([one], LENIENT) for one in (whole, some)]
    assert results[1].devices[0].seqs.tolist() == [5, 6, 7]
    np.testing.assert_allclose(results[1].devices[0].logits, new.logits[5:8], atol=1e-6)
    columns = missing.item, missing.category
    interests = MODEL.interests(*columns, missing.history_item, missing.history_category)
    np.testing.assert_allclose(new.logits[5:8], MODEL.logits(MODEL.features(interests, *columns)), atol=1e-6)
    for head in PERSONAL:
        np.testing.assert_allclose(adds(results[0], 0, head), adds(results[1], 0, head), atol=1e-5)


def test_compute_is_charged_to_devices_in_shares() -> None:
    ticks = iter([1.0, 3.0])
    trains = (train(1), train(2, with_batch=False))
    result = TrainingJob(("u0", "u1"), trains, MODEL, TASK, seed=1).run(lambda: next(ticks))
    shares = 2000 * np.array([len(PERSONAL), 2]) / (len(PERSONAL) + 2)
    assert [outcome.compute_ms for outcome in result.devices] == pytest.approx(shares.tolist())
