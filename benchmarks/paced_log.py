"""A log for a steady pace: as many users as asked, all of them busy at once, an event every so often.

Users of a rating site come one after the other and rate a hundred films within minutes, so no stretch of such a log
has 500 users at work. Here each user's events keep their order, items and labels, and who acts next is drawn anew for
each event, so that users are due for a match at moments of their own: if all had the same number of events, those that
are due after every so many would be due together near the end. Times are made up: one event per `1 / pace` of event
time, so `coda replay --speed 1` is the pace.
"""

from collections.abc import Callable

import numpy as np
import polars as pl

from streams.logs.data import get_log, log_named
from streams.logs.event_log import load_log
from wire.arrays import I64
from wire.errors import CodaError

_COLUMNS = ["user_id", "item_id", "category_id", "event_type", "label", "timestamp"]
START_MS = 1_000_000_000_000
_ITEMS, _CATEGORIES = 3000, 18  # of the generated log, about as many as ml-1m has
_LIKED = 0.57  # share of positives, as in ml-1m


def paced_log(name: str, users: int, per_user: int, pace_per_s: float, say: Callable[[str], None]) -> pl.DataFrame:
    """`users` × `per_user` events in the order and at the times in which they shall happen.

    `name` is a log that `coda data get` knows, or `generated`; a log that cannot be had is generated, too.
    """
    who = np.random.default_rng(0).integers(users, size=users * per_user)
    most = int(np.bincount(who).max())
    try:
        events = _generated(users, most) if name == "generated" else load_log(get_log(log_named(name), say))
    except (CodaError, OSError) as error:
        say(f"{name} cannot be had ({error}); going on with a generated log")
        events = _generated(users, most)
    acting = _acted(events, who, users, most)
    times = START_MS + np.floor(1000 / pace_per_s * np.arange(len(acting))).astype(np.int64)
    return acting.with_columns(pl.Series("timestamp", times))


def _acted(events: pl.DataFrame, who: I64, users: int, most: int) -> pl.DataFrame:
    """The next event of user `who[i]` in place i, of the first `users` that have as many as anybody needs."""
    nth = events.with_columns(nth=pl.int_range(pl.len()).over("user_id"), of=pl.len().over("user_id"))
    able = nth.filter(pl.col("of") >= most)["user_id"].unique(maintain_order=True).head(users)
    if len(able) < users:
        raise SystemExit(f"only {len(able)} users of the log have {most} events: ask for fewer or less")
    acting = pl.DataFrame({"user_id": able[who]}).with_columns(nth=pl.int_range(pl.len()).over("user_id"))
    return acting.join(nth, on=["user_id", "nth"], how="left", maintain_order="left").select(_COLUMNS)


def _generated(users: int, per_user: int) -> pl.DataFrame:
    """Users who like some categories better than others; popular items are popular."""
    rng = np.random.default_rng(0)
    n = users * per_user
    user = np.repeat(np.arange(users), per_user)
    item = np.minimum(rng.zipf(1.3, n), _ITEMS) - 1
    category = item % _CATEGORIES
    taste = rng.normal(0, 0.2, (users, _CATEGORIES))
    return pl.DataFrame(
        {
            "user_id": [f"user-{u}" for u in user.tolist()],
            "item_id": [f"item-{i}" for i in item.tolist()],
            "category_id": [f"category-{c}" for c in category.tolist()],
            "event_type": ["view"] * n,
            "label": (rng.random(n) < _LIKED + taste[user, category]).astype(np.int64),
            "timestamp": START_MS + np.arange(n),
        }
    )
