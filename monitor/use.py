"""Freshness at use: how old in event time what devices train on and predict with is, as shares older than so much."""

from collections.abc import Mapping
from dataclasses import dataclass

from monitor.metrics import USE_BUCKETS_S, Metrics, pairs

BUCKETS = f"{Metrics.use_age_s.name}_bucket"


@dataclass(frozen=True, slots=True)
class Used:
    """What was used so, how often, and which share of it was older than each of these seconds."""

    use: str
    count: int
    older: dict[float, float]


def used(buckets: Mapping[str, float]) -> list[Used]:
    """Each use, from the series of `BUCKETS` by their labels.

    >>> [own] = used({"use=own,le=60.0": 1, "use=own,le=3600.0": 3, "use=own,le=+Inf": 4})
    >>> own.count, own.older[60.0], own.older[3600.0]
    (4, 0.75, 0.25)
    """
    within: dict[str, dict[float, float]] = {}
    for labels, count in buckets.items():
        of = pairs(labels)
        within.setdefault(of["use"], {})[float(of["le"])] = count
    return [_used(use, counts) for use, counts in sorted(within.items())]


def _used(use: str, within: Mapping[float, float]) -> Used:
    """A bound without a count has none below it: statuses leave zeros out."""
    total = within[float("inf")]
    return Used(use, int(total), {bound: 1 - within.get(bound, 0.0) / total for bound in USE_BUCKETS_S})
