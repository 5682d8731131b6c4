import numpy as np
import pytest

from models.streamed.context import ABSENT, WORDS, Context, ContextNames
from models.streamed.features import Streamed
from models.streamed.moments import Moments


def test_numbers_are_themselves_and_a_word_has_one_number() -> None:
    context = Context(("page", "price"))
    told = context.of([{"page": "home", "price": "2.5"}, {"page": "shop", "price": 7}, {"page": "home", "price": True}])
    assert told[:, 1].tolist() == [2.5, 7, 1]
    assert told[0, 0] == told[2, 0] != told[1, 0]
    assert context.of([{"page": "home"}])[0, 0] == told[0, 0], "as before"


def test_a_path_leads_to_what_a_field_holds() -> None:
    told = Context(("offer.price", "offer")).of([{"offer": {"price": 2.5}}, {"offer": {}}, {"offer.price": 7}, None])
    assert told[:, 0].tolist() == [2.5, ABSENT, 7, ABSENT] and (told[:, 1] == ABSENT).all()


@pytest.mark.parametrize(
    "odd", [None, {}, {"price": None}, {"price": [1]}, {"price": {"in": "euro"}}, {"price": "nan"}]
)
def test_what_is_no_value_is_below_all_else(odd: dict[str, object] | None) -> None:
    absent, least = Context(("price",)).of([odd, {"price": -1e300}])[:, 0].astype(np.float32)
    assert np.isfinite(absent) and absent == least


def test_huge_numbers_stay_finite_in_features() -> None:
    told = Context(("price",)).of([{"price": 1e300}, {"price": "inf"}, {"price": 10**400}]).astype(np.float32)
    assert np.isfinite(told).all()


def test_words_without_end_take_no_room_without_end() -> None:
    context = Context(("session",))
    told = context.of([{"session": f"s{n}"} for n in range(WORDS + 100)])[:, 0]
    assert len(np.unique(told)) == WORDS + 1
    assert told[-1] == told[WORDS] == WORDS


def test_what_is_of_the_moment_is_held_where_items_were_shown_and_an_items_own_is_not() -> None:
    names = ContextNames(item=("price",), moment=("page", "hour"))
    shown, drawn = (Streamed(impressions=impressions, context=names) for impressions in (True, False))
    assert {"context.page", "context.hour", "hour"} <= shown.held and "context.price" not in shown.held
    assert not drawn.held and shown.same >= drawn.same
    key = np.ones(1, np.uint32)
    seen = shown.take(
        Moments(key.astype(np.uint64), key, key, key.astype(np.uint8), key.astype(np.int64)), np.array([[9.0, 2, 3]])
    )
    assert dict(zip(shown.names, seen.features[0].tolist(), strict=True))["context.price"] == 9
