"""Rows that tell of several items at once, each with its label, as MIND's `N1-0 N2-1`: one event per item."""

import polars as pl

_LIST = r"^\S+-[01](\s+\S+-[01])*\s*$"
_SEVERAL = r"-[01]\s+\S"


def are_impressions(items: pl.Series) -> bool:
    """Whether the first rows of a log without labels name items so: all of them, and some of them several.

    >>> are_impressions(pl.Series(["N1-0 N2-1", "N3-1"])), are_impressions(pl.Series(["model-0", "model-1"]))
    (True, False)
    """
    known = items.drop_nulls()
    return bool(known.len() and known.str.contains(_LIST).all() and known.str.contains(_SEVERAL).any())


def one_item_a_row(rows: pl.DataFrame) -> pl.DataFrame:
    """Each row once for each item in its `item_id`, with that item's label.

    An event's id is made of its `raw` text and its line, so each has its item behind the raw text.
    """
    shown = pl.col("item_id").fill_null("").str.strip_chars().str.replace_all(r"\s+", " ").str.split(" ")
    return (
        rows.with_columns(shown)
        .explode("item_id")
        .with_columns(
            pl.concat_str("raw", "item_id", separator=" ").alias("raw"),
            pl.col("item_id").str.extract(r"-([01])$").alias("label"),
            pl.col("item_id").str.replace(r"-[01]$", ""),
        )
    )
