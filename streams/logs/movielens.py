"""MovieLens ratings, in RecBole's atomic files, as the uniform event log."""

import io

import polars as pl

# A rating of 4 or 5 is a positive.
POSITIVE_RATING = 4


def to_log(inter: bytes, item: bytes, genres: str) -> pl.DataFrame:
    """Ratings (`.inter`) joined with films (`.item`), sorted by time; `genres` names the column of genres.

    The category is the film's first genre. MovieLens lists genres alphabetically, so "first" is a convention, the
    same for everyone, and not a judgement of which genre matters most. A film without an entry is "unknown".
    Timestamps are whole seconds: films rated within one second share one, as baskets do.
    """
    films = _atomic(item).select(
        "item_id", pl.col(genres).str.split(" ").list.get(0, null_on_oob=True).replace("", None).alias("category_id")
    )
    ratings = _atomic(inter).with_row_index("row")
    return (
        ratings.join(films.unique("item_id", keep="first"), on="item_id", how="left")
        .select(
            "user_id",
            "item_id",
            pl.col("category_id").fill_null("unknown"),
            pl.lit("rating").alias("event_type"),
            (pl.col("rating").cast(pl.Float64) >= POSITIVE_RATING).cast(pl.Int8).alias("label"),
            (pl.col("timestamp").cast(pl.Float64) * 1000).cast(pl.Int64).alias("timestamp"),
            pl.col("rating").cast(pl.Float64).cast(pl.Int8),
            "row",
        )
        .sort("timestamp", "row")
        .drop("row")
    )


def _atomic(raw: bytes) -> pl.DataFrame:
    """One atomic file: tab-separated, no quoting, a header of `name:type`."""
    frame = pl.read_csv(io.BytesIO(raw), separator="\t", quote_char=None, infer_schema=False)
    return frame.rename({name: name.partition(":")[0] for name in frame.columns})
