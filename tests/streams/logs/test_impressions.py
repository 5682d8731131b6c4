"""Rows of several items, each with its label, become one row an item, whatever white space lies between them."""

import polars as pl
import pytest

from streams.logs.impressions import are_impressions, one_item_a_row


@pytest.mark.parametrize("between", [" ", "  ", "\t", " \t "])
def test_items_are_told_apart_by_any_white_space(between: str) -> None:
    items = pl.Series("item_id", [between.join(("N1-0", "N2-1", "N3-0"))])
    found = one_item_a_row(pl.DataFrame({"item_id": items, "label": [None], "raw": "row"}))
    assert are_impressions(items)
    assert found.rows() == [("N1", "0", "row N1-0"), ("N2", "1", "row N2-1"), ("N3", "0", "row N3-0")]


def test_a_row_without_items_stays_and_is_rejected_later() -> None:
    rows = pl.DataFrame(
        {"item_id": [None], "label": [None], "raw": "row"}, {"item_id": pl.String, "label": pl.String, "raw": pl.String}
    )
    assert one_item_a_row(rows)["item_id"].to_list() == [""]
