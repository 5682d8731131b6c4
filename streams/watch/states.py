"""A picture in the words of a report: what a run's timeline keeps of it."""

from prometheus_client.metrics import MetricWrapperBase

from monitor import metrics
from monitor.stages import STAGES
from monitor.state import State
from monitor.use import BUCKETS
from streams.watch.picture import Picture

_CANARIES = {
    "sent": metrics.canaries_sent,
    "arrived": metrics.canaries_arrived,
    "lost": metrics.canaries_lost,
    "in flight": metrics.canaries_in_flight,
}


def state_of(picture: Picture, elapsed_s: float = 0.0, phase: str = "") -> State:
    """The state that `picture` shows, so long after the start."""
    reads = [stage for stage in picture.stages if stage.stage in STAGES and STAGES[stage.stage].reads]
    return State(
        elapsed_s=round(elapsed_s, 3),
        phase=phase,
        produced=int(picture.total(metrics.produced)),
        pooled=int(picture.total(metrics.pooled)),
        waiting=int(picture.total(metrics.samples_waiting)),
        rejected=_counts(picture, metrics.rejected, "reason"),
        matches=_counts(picture, metrics.matches, "reason"),
        pool_live=int(picture.total(metrics.pool_live)),
        model_version=int(picture.total(metrics.model_version)),
        cloud_versions=int(picture.total(metrics.cloud_versions)),
        freshness={stage.stage: stage.ages for stage in picture.stages if stage.ages},
        behind={stage.stage: stage.behind for stage in reads},
        own_lag_s={stage.stage: stage.local_s for stage in picture.stages if stage.local_s is not None},
        pushes=int(picture.total(metrics.pushes)),
        push_outcomes=_counts(picture, metrics.push_outcomes, "outcome"),
        pushes_outstanding=int(picture.total(metrics.pushes_outstanding)),
        uploads=int(picture.total(metrics.uploads)),
        devices_connected=int(picture.total(metrics.devices_connected)),
        predictions=int(picture.total(metrics.predictions)),
        trainings=_counts(picture, metrics.trainings, "outcome"),
        batches=_counts(picture, metrics.batches, "outcome"),
        use_ages=picture.totals.get(BUCKETS, {}),
        canaries={what: n for what, metric in _CANARIES.items() if (n := int(picture.total(metric)))},
        arm_auc=picture.by(metrics.arm_auc, "arm"),
        arm_gauc=picture.by(metrics.arm_gauc, "arm"),
    )


def _counts(picture: Picture, metric: MetricWrapperBase, label: str) -> dict[str, int]:
    return {key: int(value) for key, value in sorted(picture.by(metric, label).items())}
