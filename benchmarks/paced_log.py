"""A log for a steady pace: as many users as asked, all of them busy at once, an event every so often.

Users of a rating site come one after the other and rate a hundred films within minutes, so no stretch of such a log
has 500 users at work. Here each user's events keep their order, items and labels, and who acts next is drawn at
random, so that users are due for a match at moments of their own; times are made up: one event per `1 / pace` of
event time, so `coda replay --speed 1` is the pace.
"""

from collections.abc import Callable

import numpy as np
import polars as pl

from streams.logs.data import get_log, log_named
from streams.logs.event_log import load_log
from wire.errors import CodaError

_COLUMNS = ["user_id", "item_id", "category_id", "event_type", "label", "timestamp"]
START_MS = 1_000_000_000_000
_ITEMS, _CATEGORIES = 3000, 18  # of the generated log, about as many as ml-1m has
_LIKED = 0.57  # share of positives, as in ml-1m


def paced_log(name: str, users: int, per_user: int, pace_per_s: float, say: Callable[[str], None]) -> pl.DataFrame:
    """`users` × `per_user` events in the order and at the times in which they shall happen.

    `name` is a log that `coda data get` knows, or `generated`; a log that cannot be had is generated, too.
    """
    try:
        events = _generated(users, per_user) if name == "generated" else load_log(get_log(log_named(name), say))
    except (CodaError, OSError) as error:
        say(f"{name} cannot be had ({error}); going on with a generated log")
        events = _generated(users, per_user)
    acting = _at_random(events, users, per_user)
    times = START_MS + np.floor(1000 / pace_per_s * np.arange(len(acting))).astype(np.int64)
    return acting.with_columns(pl.Series("timestamp", times))


def _at_random(events: pl.DataFrame, users: int, per_user: int) -> pl.DataFrame:
    """The first `per_user` events of the first `users` that have so many, shuffled but for each user's own order."""
    nth = events.with_columns(nth=pl.int_range(pl.len()).over("user_id"), of=pl.len().over("user_id"))
    able = nth.filter(pl.col("of") >= per_user)["user_id"].unique(maintain_order=True).head(users)
    if len(able) < users:
        raise SystemExit(f"only {len(able)} users of the log have {per_user} events: ask for fewer or less")
    chosen = nth.filter(pl.col("user_id").is_in(able.implode()) & (pl.col("nth") < per_user)).sort("user_id", "nth")
    places = np.random.default_rng(0).permutation(len(chosen)).reshape(users, per_user)
    return chosen.with_columns(pl.Series("place", np.sort(places, axis=1).ravel())).sort("place").select(_COLUMNS)


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
