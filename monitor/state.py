"""The state of the whole system at one moment, in the words that people ask for; one line of `timeline.jsonl`."""

from collections.abc import Mapping

import msgspec

from monitor.histogram import NO_HISTOGRAM, Histogram
from monitor.stages import STAGES


class Freshness(msgspec.Struct, frozen=True):
    """Age since the produce timestamp at one stage, in seconds, and how many things were seen to pass it."""

    count: int
    p50_s: float
    p95_s: float
    p99_s: float

    @classmethod
    def of(cls, ages: Histogram) -> "Freshness | None":
        """That of what has these ages in seconds; None of nothing."""
        if not ages.count:
            return None
        return cls(int(ages.count), *(round(ages.quantile(q), 4) for q in (0.5, 0.95, 0.99)))


def freshness_since(before: Mapping[str, Histogram], passed: Mapping[str, Histogram]) -> dict[str, Freshness]:
    """By stage, that of what passed it since `before`, both being the ages of all that had passed by then."""
    grown = {stage: passed[stage].combine(before.get(stage, NO_HISTOGRAM), -1) for stage in STAGES if stage in passed}
    return {stage: found for stage, ages in grown.items() if (found := Freshness.of(ages))}


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Everything worth showing, `elapsed_s` after the start; counts are since the start of the processes.

    By stage: `freshness` of what passed lately, `behind` as events that are left, `own_lag_s` as time behind the stage
    before. `use_ages` are the cumulative counts of `coda_use_age_seconds` by its labels. `cloud` is what the
    arm "cloud" is called, to which all others add.
    """

    elapsed_s: float = 0.0
    phase: str = ""
    produced: int = 0
    pooled: int = 0
    waiting: int = 0
    rejected: dict[str, int] = {}
    matches: dict[str, int] = {}
    pool_live: int = 0
    model_version: int = 0
    cloud_versions: int = 0
    freshness: dict[str, Freshness] = {}
    behind: dict[str, int] = {}
    own_lag_s: dict[str, float] = {}
    pushes: int = 0
    push_outcomes: dict[str, int] = {}
    pushes_outstanding: int = 0
    uploads: int = 0
    devices_connected: int = 0
    predictions: int = 0
    trainings: dict[str, int] = {}
    batches: dict[str, int] = {}
    use_ages: dict[str, float] = {}
    canaries: dict[str, int] = {}
    cloud: str = "cloud"
    arm_auc: dict[str, float] = {}
    arm_gauc: dict[str, float] = {}


def events_per_s(earlier: State, later: State) -> float:
    """Events produced per second between two states."""
    elapsed = later.elapsed_s - earlier.elapsed_s
    return (later.produced - earlier.produced) / elapsed if elapsed > 0 else 0.0
