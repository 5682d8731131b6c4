"""The Complete Journey, grocery purchases of 2,469 households over a year, as the uniform event log."""

import io

import polars as pl

FOUR_WEEKS_MS = 28 * 86_400_000


def to_log(transactions: bytes, products: bytes) -> pl.DataFrame:
    """Purchases (parquet) joined with products (parquet), sorted by time; positives only.

    The category is the product category, or the department where that is missing. All rows of one basket share the
    basket's time. Times carry no zone; they are taken as UTC.
    """
    shelf = pl.read_parquet(io.BytesIO(products)).select(
        "product_id", pl.coalesce("product_category", "department").alias("category_id")
    )
    rows = pl.read_parquet(io.BytesIO(transactions)).with_row_index("row")
    return (
        rows.join(shelf.unique("product_id", keep="first"), on="product_id", how="left")
        .select(
            pl.col("household_id").cast(pl.String).alias("user_id"),
            pl.col("product_id").cast(pl.String).alias("item_id"),
            pl.col("category_id").fill_null("unknown"),
            pl.lit("purchase").alias("event_type"),
            pl.lit(1, pl.Int8).alias("label"),
            pl.col("transaction_timestamp").dt.epoch("ms").alias("timestamp"),
            pl.col("basket_id").cast(pl.String),
            "quantity",
            "sales_value",
            "row",
        )
        .sort("timestamp", "row")
        .drop("row")
    )


def four_weeks(transactions: bytes, products: bytes) -> pl.DataFrame:
    """The first four weeks of every second household.

    Small enough to be shown within minutes, and long enough for households to show what they buy again.
    """
    bought = to_log(transactions, products)
    return bought.filter(
        pl.col("timestamp") < pl.col("timestamp").min() + FOUR_WEEKS_MS, pl.col("user_id").cast(pl.Int64) % 2 == 0
    )
