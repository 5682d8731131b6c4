"""What can be known of a moment is found by its name, and a column that is of no use is told of."""

import json
from typing import Any

import polars as pl
import pytest

from models.streamed.context import ContextNames
from streams.base.context import ContextOptions, telling
from wire.errors import InputError


def log_of(*contexts: dict[str, Any]) -> pl.DataFrame:
    """Every other event is a positive."""
    rows = [
        {"event_type": "event", "label": n % 2, "context": json.dumps(context) if context else None}
        for n, context in enumerate(contexts)
    ]
    return pl.DataFrame(rows, {"event_type": pl.String, "label": pl.Int8, "context": pl.String})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([None, None], "price has no number and no word"),
        ([[1], {"of": 2}], "price has no number and no word"),
        ([5, 5.0], "price is the same of all events"),
        ([f"{n},50" for n in range(300)], "price has 256 words or more, such as '0,50' and '255,50'"),
        ([n % 2 for n in range(10)], "price alone has AUC 1.000"),
        ([0, 0, 1, 1], ""),
        (["home", "home", "search", "search"], ""),
    ],
)
def test_a_column_of_no_use_or_of_too_much_is_warned_of(values: list[Any], said: str) -> None:
    lines = telling(log_of(*({"price": value} for value in values)), ContextNames(("price",)))
    assert [line[: len(said)] for line in lines] == [said] * bool(said)


def test_words_that_are_there_for_positives_alone_are_a_leak_however_many() -> None:
    log = log_of(*({"bought_at": f"at {n}" if n % 2 else None} for n in range(1000)))
    lines = telling(log, ContextNames(("bought_at",)))
    assert [line.partition(":")[0] for line in lines][1:] == ["bought_at alone has AUC 1.000"]


def test_names_may_have_any_signs() -> None:
    log = log_of({"price, €": 1, 'a "b"': 2, "c.d": 3, "e f": 4})
    assert ContextOptions('"price, €",a "b", c.d', "e f").names(log) == ContextNames(
        ("price, €", 'a "b"', "c.d"), ("e f",)
    )


def test_a_path_leads_into_a_column_that_holds_others_and_else_the_paths_are_told() -> None:
    log = log_of(*({"offer": {"price": n, "in": {"unit": "euro"}}, "page": 1} for n in range(20)))
    names = ContextOptions("offer.price", "offer.in.unit").names(log)
    assert telling(log, names)[0] == "offer.in.unit is the same of all events, so models learn nothing from it"
    for wrong in ("offer", "offer.prise"):
        with pytest.raises(InputError, match=f"no other column {wrong}, .* has offer.in.unit, offer.price, page"):
            ContextOptions(wrong).names(log)


def test_a_column_is_found_however_few_events_have_it() -> None:
    log = log_of(*({"rare": 1} if n == 1 else {} for n in range(40_000)))
    assert ContextOptions("rare").names(log).item == ("rare",)
    with pytest.raises(InputError, match="no other column shade, or nothing in it; it has rare"):
        ContextOptions("shade").names(log)
