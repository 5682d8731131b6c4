from dataclasses import replace

import numpy as np
import pytest

from models.artefact import model_to_bytes
from models.cloud_model import CloudModel, random_model
from models.cloud_trainer import LEFT_OUT, train_first, train_next
from models.vocabulary import HALF_LIFE_MS, MODEL_BYTES, REST_BYTES, Names, aged, choose
from tests.models.samples import tasteful_samples, wide_catalogue
from wire.errors import InputError

TINY = REST_BYTES + 40 * 72
INITIAL, NEXT = tasteful_samples(3000, seed=1), tasteful_samples(3000, seed=2, items=80, start=6000)


def _names(n: int, first: int = 1) -> Names:
    return Names(np.arange(first, first + n, dtype=np.uint32), np.arange(n, dtype=np.float64))


def test_all_names_stay_where_there_is_room() -> None:
    chosen = choose(_names(1000), _names(50), MODEL_BYTES)
    assert len(chosen.items) == 1000 and len(chosen.categories) == 50 and chosen.left_out == 0


@pytest.mark.parametrize("limit_bytes", [64 << 10, 1 << 20, 8 << 20])
@pytest.mark.parametrize(("items", "categories"), [(200_000, 30), (200_000, 200_000), (300, 200_000)])
def test_a_model_fits_its_message_and_fills_it(limit_bytes: int, items: int, categories: int) -> None:
    chosen = choose(_names(items), _names(categories), limit_bytes)
    message = model_to_bytes(random_model(chosen.items, chosen.categories, seed=0))
    assert 0 <= limit_bytes - len(message) < 20_000
    assert chosen.left_out == items + categories - len(chosen.items) - len(chosen.categories)
    assert len(chosen.items) == items or chosen.items[-1] == items, "the worthiest stay"


def test_a_limit_without_room_for_anything_says_what_to_set() -> None:
    with pytest.raises(InputError, match=r"set max\.message\.bytes of the topic models"):
        choose(_names(10), _names(10), 10_000)


def test_a_positive_is_worth_half_a_week_later() -> None:
    assert aged(np.array([8, 1], np.float32), HALF_LIFE_MS).tolist() == [4, 0.5]
    assert aged(np.array([8], np.float32), -5).tolist() == [8], "event time that stands still ages nothing"


def _taken(model: CloudModel, item: int) -> float:
    return float(model.weights.taken[model.item_rows(np.array([item], np.uint32))][0])


def test_of_too_many_items_the_most_taken_keep_their_rows() -> None:
    model = train_first([INITIAL], seed=1, limit_bytes=TINY)
    positives = np.bincount(INITIAL.item[INITIAL.label > 0], minlength=61)
    assert 0 < len(model.item_keys) < 60 and model.metrics[LEFT_OUT] == 60 - len(model.item_keys)
    gone = np.setdiff1d(np.arange(1, 61), model.item_keys)
    assert positives[gone].max() <= positives[model.item_keys].min()
    unknown, never_seen = model.item_rows(np.array([gone[0], 999], np.uint32)).tolist()
    assert unknown == never_seen == 0 and model.weights.taken[0] == 0


def test_new_items_take_the_rows_of_those_that_nobody_takes_any_more() -> None:
    """Item keys 61 to 80 are new; a month later what was popular before is worth little."""
    first = train_first([INITIAL], seed=1, limit_bytes=TINY)
    later = NEXT.take(np.flatnonzero(NEXT.item > 60))
    a_month_later = replace(later, timestamp=later.timestamp + 30 * 86_400_000)
    second = train_next(first, a_month_later, seed=2, limit_bytes=TINY)
    assert np.isin(np.arange(61, 81), second.item_keys).all() and len(second.item_keys) == len(first.item_keys)
    assert len(model_to_bytes(second)) <= TINY


def test_a_version_that_fits_is_the_same_with_any_limit() -> None:
    first = train_first([INITIAL], seed=1)
    with_room = train_next(first, NEXT, seed=2, limit_bytes=1 << 20)
    assert model_to_bytes(with_room) == model_to_bytes(train_next(first, NEXT, seed=2))
    assert LEFT_OUT not in with_room.metrics


def test_the_same_names_are_chosen_every_time() -> None:
    block = wide_catalogue(2000, items=3000, seed=3)
    twice = [model_to_bytes(train_first([block], seed=1, limit_bytes=96 << 10)) for _ in range(2)]
    assert twice[0] == twice[1]
