"""The result document of a fleet: what its arms are worth, what its devices cost, what became of everything."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from device_sim.scoreboard import Scores
from streams.base.names import Base
from streams.evaluation.lineup import called
from streams.fleet.account import Account
from streams.fleet.drop import drop_of_all


def result_of(
    accounts: Sequence[Account], scores: Scores, compute_ms: Sequence[float], *, base: Base, seed: int
) -> dict[str, Any]:
    """The document, for JSON: of the accounts of all processes, and the scores and trainings of all together."""
    drops = [account.drop for account in accounts if account.drop is not None]
    return {
        "devices": sum(len(account.bytes_up) for account in accounts),
        "events": sum(account.events for account in accounts),
        "scored": len(scores),
        "arms": called(base, scores.result()),
        "device_cost": {
            "compute_ms": _spread(compute_ms),
            "bytes_up": _spread([n for account in accounts for n in account.bytes_up]),
            "bytes_down": _spread([n for account in accounts for n in account.bytes_down]),
            "bytes_stored": _spread([n for account in accounts for n in account.bytes_stored]),
        },
        "outcomes": _summed(account.outcomes for account in accounts),
        "model_version": _newest(account.model_version for account in accounts),
        "task_version": _newest(account.task_version for account in accounts),
        "seed": seed,
        **({"drop": msgspec.to_builtins(drop_of_all(drops))} if drops else {}),
    }


def _newest(versions: Iterable[int | None]) -> int | None:
    return max((version for version in versions if version is not None), default=None)


def _summed(outcomes: Iterable[dict[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    summed: dict[str, Counter[str]] = {}
    for each in outcomes:
        for what, counts in each.items():
            summed.setdefault(what, Counter()).update(counts)
    return {what: dict(sorted(counts.items())) for what, counts in sorted(summed.items())}


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    """Count, median, 99th percentile and sum; None where there is nothing."""
    if not values:
        return {"count": 0, "p50": None, "p99": None, "sum": None}
    p50, p99 = np.quantile(values, [0.5, 0.99])
    return {
        "count": len(values),
        "p50": round(float(p50), 3),
        "p99": round(float(p99), 3),
        "sum": round(float(sum(values)), 3),
    }
