"""A picture in the words of a report: what a run's timeline keeps of it."""

from typing import Any

from monitor.definition import Definition
from monitor.metrics import Metrics
from monitor.stages import STAGES
from monitor.state import State
from monitor.use import BUCKETS
from streams.watch.picture import Picture

_CANARIES = {
    "sent": Metrics.canaries_sent,
    "arrived": Metrics.canaries_arrived,
    "lost": Metrics.canaries_lost,
    "in flight": Metrics.canaries_in_flight,
}


def state_of(picture: Picture, elapsed_s: float = 0.0, phase: str = "") -> State:
    """The state that `picture` shows, so long after the start."""
    reads = [stage for stage in picture.stages if stage.stage in STAGES and STAGES[stage.stage].reads]
    return State(
        elapsed_s=round(elapsed_s, 3),
        phase=phase,
        produced=int(picture.total(Metrics.produced)),
        pooled=int(picture.total(Metrics.pooled)),
        waiting=int(picture.total(Metrics.samples_waiting)),
        rejected=_counts(picture, Metrics.rejected, "reason"),
        matches=_counts(picture, Metrics.matches, "reason"),
        pool_live=int(picture.total(Metrics.pool_live)),
        model_version=int(picture.total(Metrics.model_version)),
        cloud_versions=int(picture.total(Metrics.cloud_versions)),
        freshness={stage.stage: stage.ages for stage in picture.stages if stage.ages},
        behind={stage.stage: stage.behind for stage in reads},
        own_lag_s={stage.stage: stage.local_s for stage in picture.stages if stage.local_s is not None},
        pushes=int(picture.total(Metrics.pushes)),
        push_outcomes=_counts(picture, Metrics.push_outcomes, "outcome"),
        pushes_outstanding=int(picture.total(Metrics.pushes_outstanding)),
        uploads=int(picture.total(Metrics.uploads)),
        devices_connected=int(picture.total(Metrics.devices_connected)),
        predictions=int(picture.total(Metrics.predictions)),
        trainings=_counts(picture, Metrics.trainings, "outcome"),
        batches=_counts(picture, Metrics.batches, "outcome"),
        use_ages=picture.totals.get(BUCKETS, {}),
        canaries={what: n for what, metric in _CANARIES.items() if (n := int(picture.total(metric)))},
        cloud=picture.cloud,
        arm_auc=picture.by(Metrics.arm_auc, "arm"),
        arm_gauc=picture.by(Metrics.arm_gauc, "arm"),
    )


def _counts(picture: Picture, metric: Definition[Any], label: str) -> dict[str, int]:
    return {key: int(value) for key, value in sorted(picture.by(metric, label).items())}
