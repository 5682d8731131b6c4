"""Small synthetic event logs."""

from pathlib import Path

import polars as pl

from streams.logs.event_log import LogBatch, read_log
from wire.arrays import Bool

HEADER = "user_id,item_id,category_id,event_type,label,timestamp"


def make_log(events: int, users: int = 20, step_ms: int = 1000) -> pl.DataFrame:
    """A sorted log of `events` rows, one every `step_ms`, with two context columns."""
    rows = range(events)
    return pl.DataFrame(
        {
            "user_id": [f"u{n * 7 % users}" for n in rows],
            "item_id": [f"film {n % 50}, the" for n in rows],
            "category_id": [f"c{n % 5}" for n in rows],
            "event_type": ["rating"] * events,
            "label": [n % 3 % 2 for n in rows],
            "timestamp": [1_000_000_000_000 + n * step_ms for n in rows],
            "rating": [n % 5 + 1 for n in rows],
            "note": [None if n % 2 else 'said "so"' for n in rows],
        }
    )


def seen_before(log: pl.DataFrame, *columns: str) -> Bool:
    """Whether a positive row of the same `columns` came strictly earlier."""
    first = log.filter(pl.col("label") == 1).group_by(columns).agg(pl.col("timestamp").min().alias("first"))
    joined = log.join(first, on=columns, how="left", maintain_order="left")
    seen: Bool = (joined["first"] < joined["timestamp"]).fill_null(value=False).to_numpy()
    return seen


def write_csv(path: Path, *rows: str, header: str = HEADER) -> Path:
    """A CSV log of these lines."""
    path.write_text("\n".join((header, *rows, "")))
    return path


def everything(path: Path) -> LogBatch:
    """All events and rejected rows of a log."""
    batches = list(read_log(path))
    events = pl.concat([batch.events for batch in batches])
    return LogBatch(events, tuple(row for batch in batches for row in batch.rejected))
