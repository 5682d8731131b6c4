"""Small synthetic logs for the evaluation, and prequential runs over them."""

from pathlib import Path

import numpy as np
import polars as pl

from index.pool import Pool
from index.spec import PoolSpec
from operators.user import MatchRules
from streams.evaluation.evaluate import evaluate
from streams.evaluation.prequential import Outcome, Plan
from wire.task import Task

TASK = Task(task_version=1, classifier_steps=5, retrain_every=20, window_count=64)
RULES = MatchRules(match_every=40, freshness_budget_ms=10**9)
SPEC = PoolSpec(segment_rows=2_000, window_count=10_000)


def taste_log(events: int, *, users: int = 40, seed: int = 0, labels: str = "taste") -> pl.DataFrame:
    """Users like one of five categories and dislike another; with `labels` "random" there is nothing to learn.

    One event per second, each item of its own, so that an item says which event it was.
    """
    rng = np.random.default_rng(seed)
    user, category = rng.integers(0, users, events), rng.integers(0, 5, events)
    odds = np.where(category == user % 5, 0.85, np.where(category == (user + 1) % 5, 0.15, 0.5))
    chance = odds if labels == "taste" else np.full(events, 0.5)
    return pl.DataFrame(
        {
            "event_id": [f"e{n}" for n in range(events)],
            "user_id": [f"u{u}" for u in user],
            "item_id": [f"i{n}" for n in range(events)],
            "category_id": [f"c{c}" for c in category],
            "event_type": ["view"] * events,
            "label": (rng.random(events) < chance).astype(np.int8),
            "timestamp": 1_000_000_000_000 + 1000 * np.arange(events),
            "base": pl.repeat(None, events, dtype=pl.Float64, eager=True),
        }
    )


def plan(**changes: object) -> Plan:
    settings: dict[str, object] = {"initial_share": 0.5, "refresh_ms": 0, "per_label": 8, "rules": RULES, "task": TASK}
    settings["min_users"] = 1  # each event has an item of its own
    return Plan(**(settings | changes))  # type: ignore[arg-type]


def prequential(log: pl.DataFrame, folder: Path, pool_type: type[Pool] = Pool, **changes: object) -> Outcome:
    """One prequential run in a fresh pool under `folder`."""
    with pool_type.open(folder / "pool", SPEC) as pool:
        return evaluate(log, pool, plan(**changes), lambda *_: None)
