import numpy as np
import pytest

from models.artefact import model_to_bytes
from models.cloud_model import CloudModel
from models.cloud_trainer import Schedule, train_first, train_next
from models.sample import SampleBlock
from models.scores import auc
from tests.models.samples import tasteful_samples
from wire.errors import InputError

INITIAL = tasteful_samples(6000, seed=1)
NEXT = tasteful_samples(3000, seed=2, items=80, start=6000)
LAST = tasteful_samples(3000, seed=3, items=80, start=9000)


@pytest.fixture(scope="module")
def first() -> CloudModel:
    return train_first([INITIAL.take(slice(0, 3000)), INITIAL.take(slice(3000, None))], seed=1)


@pytest.fixture(scope="module")
def second(first: CloudModel) -> CloudModel:
    return train_next(first, NEXT, seed=2)


def test_the_first_version_learns_tastes(first: CloudModel) -> None:
    assert first.version == 1 and first.trained_until == 6_000_000
    assert auc(NEXT.label, first.predict(NEXT)) > 0.65


def test_the_next_version_is_better_on_what_follows(first: CloudModel, second: CloudModel) -> None:
    assert second.version == 2 and second.trained_until == 9_000_000
    assert auc(LAST.label, second.predict(LAST)) > auc(LAST.label, first.predict(LAST))


def test_the_vocabulary_grows_and_what_was_known_stays(first: CloudModel, second: CloudModel) -> None:
    assert len(first.item_keys) == 60 and len(second.item_keys) == 80
    assert np.isin(first.item_keys, second.item_keys).all()
    assert (second.item_rows(second.item_keys).numpy() == np.arange(1, 81)).all()


def test_the_same_seed_gives_the_same_bytes(first: CloudModel) -> None:
    assert model_to_bytes(train_first([INITIAL], seed=1)) == model_to_bytes(first)
    assert model_to_bytes(train_first([INITIAL], seed=2)) != model_to_bytes(first)


def test_the_unknown_row_is_trained(first: CloudModel) -> None:
    from models.cloud_model import random_model

    start = random_model(first.item_keys, first.category_keys, seed=1)
    assert (first.weights.items[0] - start.weights.items[0]).abs().max() > 1e-3


def test_items_that_are_not_in_the_samples_hardly_move(first: CloudModel) -> None:
    """Sixty steps at the learning rate would move them by .06, which is as much as they have."""
    one = NEXT.take(np.zeros(6000, np.int64))
    absent = np.setdiff1d(first.item_keys, np.append(one.item, one.history_item))
    before = first.weights.items[first.item_rows(absent)]
    after = train_next(first, one, seed=2)
    np.testing.assert_allclose(after.weights.items[after.item_rows(absent)], before, atol=0.005, rtol=0.03)


def test_the_learning_rate_falls_to_its_least() -> None:
    rates = [Schedule(1, 0.01).rate(done) for done in (0, 0.5, 1)]
    np.testing.assert_allclose(rates, [0.01, 0.005, 0.0002])


def test_item_vectors_are_standardised_over_the_samples_trained_on(second: CloudModel) -> None:
    standard = second.standardised(second.item_vectors(NEXT.item, NEXT.category))
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-5)
    assert abs((standard**2).sum(axis=1).mean() - 1) < 1e-5


def test_each_positive_is_counted_once_though_rehearsed(first: CloudModel, second: CloudModel) -> None:
    def positives(model: CloudModel, *blocks: SampleBlock) -> list[float]:
        item = np.concatenate([block.item[block.label > 0] for block in blocks])
        return [float((item == key).sum()) for key in model.item_keys]

    rehearsed = train_next(first, SampleBlock.concat([NEXT, INITIAL.take(slice(0, 2000))]), seed=2)
    assert first.weights.taken.tolist() == [0, *positives(first, INITIAL)]
    assert rehearsed.weights.taken.tolist() == second.weights.taken.tolist() == [0, *positives(second, INITIAL, NEXT)]


def test_one_item_alone_has_a_spread_that_divides(first: CloudModel) -> None:
    one = train_next(first, NEXT.take(np.zeros(9, np.int64)), seed=2)
    assert np.isfinite(one.standardised(one.item_vectors(NEXT.item, NEXT.category))).all()


def test_users_of_one_taste_are_near_each_other(first: CloudModel) -> None:
    late = INITIAL.take(slice(5000, None))
    keys = first.encode_block(late).match_key
    assert keys is not None
    same = (late.user % 4)[:, None] == (late.user % 4)[None, :]
    similarity = keys @ keys.T
    assert similarity[same].mean() > similarity[~same].mean() + 0.3


def test_progress_ends_with_all_samples(first: CloudModel) -> None:
    seen: list[tuple[int, int]] = []
    train_next(first, NEXT, seed=2, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (3000, 3000) and seen == sorted(seen)


def test_no_samples_is_a_clear_error(first: CloudModel) -> None:
    with pytest.raises(InputError, match="no samples"):
        train_first([], seed=0)
    with pytest.raises(InputError, match="no samples"):
        train_next(first, NEXT.take(slice(0, 0)), seed=0)
