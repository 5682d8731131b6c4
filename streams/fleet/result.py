"""The result document of a fleet: what its arms are worth, what its devices cost, what became of everything."""

from typing import Any

import numpy as np

from device_sim.fleet import Fleet
from device_sim.scoreboard import Scoreboard, Scores
from streams.evaluation.lineup import called
from streams.fleet.settings import FleetSettings


def result_of(fleet: Fleet, scores: Scores, board: Scoreboard, settings: FleetSettings) -> dict[str, Any]:
    """The document, for JSON; `scores` are the board's."""
    devices = list(fleet.devices.values())
    return {
        "devices": len(devices),
        "events": board.events,
        "scored": len(scores),
        "arms": called(settings.base, scores.result()),
        "device_cost": {
            "compute_ms": _spread(board.compute_ms()),
            "bytes_up": _spread([d.usage.bytes_up for d in devices]),
            "bytes_down": _spread([d.usage.bytes_down for d in devices]),
            "bytes_stored": _spread([d.bytes_stored for d in devices]),
        },
        "outcomes": _nested(dict(sorted(fleet.counts.items()))),
        "model_version": fleet.offer.model.version if fleet.offer.model else None,
        "task_version": fleet.offer.task.task_version if fleet.offer.task else None,
        "seed": settings.seed,
    }


def _nested(counts: dict[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (what, outcome), n in counts.items():
        nested.setdefault(what, {})[outcome] = n
    return nested


def _spread(values: list[float] | list[int]) -> dict[str, float | None]:
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
