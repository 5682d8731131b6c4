"""Columns of a log: which rows have a user and an item."""

from pathlib import Path

import pytest

from tests.streams.logs.world import everything, write_csv

WORDS_FOR_NOTHING = [
    *(r"\N", "NULL", "null", "NaN", "nan", "NA", "N/A", "<NA>", "None", "NaT"),
    *("undefined", "(not set)", "#N/A"),
]


def test_blanks_are_no_user_and_no_item(tmp_path: Path) -> None:
    rows = ("   ,i,c,click,1,1000", "u, ,c,click,1,1000", " NULL ,i,c,click,1,1000", "u,i,c,click,0,1001")
    path = write_csv(tmp_path / "a.csv", *rows)
    found = everything(path)
    assert found.events["timestamp"].to_list() == [1001]
    assert [reason for _, reason, _ in found.rejected] == ["no user_id", "no item_id", "no user_id (NULL)"]


@pytest.mark.parametrize("nothing", WORDS_FOR_NOTHING)
def test_no_user_and_no_item_is_nobody_however_programs_write_it(nothing: str, tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "a.csv", f"{nothing},i,c,click,1,1000", f"u,{nothing},c,click,1,1000", "u,i,c,click,0,1001"
    )
    found = everything(path)
    assert found.events["timestamp"].to_list() == [1001]
    assert [reason for _, reason, _ in found.rejected] == [f"no user_id ({nothing})", f"no item_id ({nothing})"]
