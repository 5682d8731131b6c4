"""What a process measures: each metric defined once, and counted in an object that the process makes at its start.

Every process tells its metrics in its status, which the live views and all accounts are made of, and serves them to
Prometheus at 127.0.0.1:<metrics port>/metrics. Counters end in `_total`, units come last.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from prometheus_client import CollectorRegistry, Histogram

from monitor.definition import Definition, counter, gauge, histogram

# How many values a label takes at most: Prometheus holds a series for each.
VALUES = {
    "age": "6",
    "arm": "8",
    "base": "1",
    "bound": "3",
    "client": "3",
    "devices": "4",
    "fault": "30",
    "group": "5",
    "leg": "3",
    "outcome": "40",
    "partition": "one per partition",
    "reason": "40",
    "shard": "one per shard",
    "stage": "10",
    "topic": "one per topic",
    "use": "4",
    "what": "12",
}

# From 1 ms to 60 s; from 5 ms to 2 s at most a quarter apart, so that a quantile is told to within some 10 %, and
# exactly at targets (50, 100, 150, 250, 400, 500 ms, 1 and 2 s).
FRESHNESS_BUCKETS_S = (
    *(0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.007, 0.008),
    *(0.01, 0.012, 0.015, 0.017, 0.02, 0.025, 0.03, 0.035, 0.04, 0.05, 0.06, 0.07, 0.08),
    *(0.1, 0.12, 0.15, 0.17, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8),
    *(1, 1.2, 1.5, 1.7, 2, 2.5, 3, 4, 5, 7, 10, 15, 20, 30, 60),
)

# From a minute to a year of event time: what is kept for 90 days may be as old.
USE_BUCKETS_S = (60.0, 600.0, 3600.0, 21600.0, 86400.0, 259200.0, 604800.0, 2592000.0, 7776000.0, 31536000.0)


class Metrics:
    """What one process measures. `Metrics.pooled` says what a metric is; of an instance it is the one to count with.

    >>> metrics = Metrics()
    >>> metrics.pooled.inc(3)
    >>> metrics.values()[Metrics.pooled.name]
    {'': 3.0}
    """

    produced = counter("coda_events_produced", "events the replay handed to Kafka or to devices")
    rejected = counter("coda_events_rejected", "events not pooled, by reason", ["reason"])
    events_scored = counter(
        "coda_events_scored",
        "events that `coda score` passed on, by what they say: expected, what it expected; own, what they said before; "
        "unknown, nothing, as it began with them; duplicate, nothing new, as they came before; late, nothing new, as "
        "they lie so far behind their user's newest that they may have come before",
        ["outcome"],
    )
    pooled = counter("coda_samples_pooled", "distinct samples written to the pool")
    matches = counter("coda_matches", "matches sent, by what made them due", ["reason"])
    matches_withheld = counter("coda_matches_withheld", "matches that were due, and not made: the device stands aside")
    matches_given_up = counter(
        "coda_matches_given_up",
        "match queries that ended without a batch, by reason: superseded, versions, shards",
        ["reason"],
    )
    users = gauge("coda_users", "users whose states the dataflow keeps")
    users_forgotten = counter(
        "coda_users_forgotten", "users whose states were let go, by reason: idle, crowded", ["reason"]
    )
    items = gauge("coda_items", "items whose takers the dataflow counts, or has counted")
    items_forgotten = counter(
        "coda_items_forgotten", "items whose takers are counted anew, by reason: crowded", ["reason"]
    )
    samples_waiting = gauge("coda_samples_waiting", "samples that wait until enough users took their item")
    requests_rejected = counter("coda_requests_rejected", "device requests that could not be read")
    pool_live = gauge("coda_pool_live_samples", "samples in the pool's window", ["shard"])
    model_version = gauge("coda_model_version", "cloud model version in use")
    task_version = gauge("coda_task_version", "version of the training task in use")
    freshness_s = histogram(
        "coda_freshness_seconds", "age since the produce timestamp, per stage", ["stage"], buckets=FRESHNESS_BUCKETS_S
    )
    use_age_s = histogram(
        "coda_use_age_seconds",
        "event time: age of what is used: own, matched and random samples in a training, "
        "the cloud model in a prediction",
        ["use"],
        buckets=USE_BUCKETS_S,
    )
    lag_events = gauge("coda_lag_events", "events produced but not yet processed", ["group", "topic", "partition"])
    lag_seconds = gauge(
        "coda_lag_seconds", "age of the oldest event not yet processed", ["group", "topic", "partition"]
    )
    frontier_s = gauge(
        "coda_frontier_timestamp_seconds",
        "wall clock: what was there at this moment is done, per stage; age = time() - this",
        ["stage", "partition"],
    )
    event_frontier_s = gauge(
        "coda_event_frontier_timestamp_seconds", "newest event time that a stage is through with", ["stage"]
    )
    pushes = counter("coda_pushes", "candidate batches pushed to devices")
    push_outcomes = counter(
        "coda_push_outcomes", "what became of pushes: acknowledged, superseded, expired", ["outcome"]
    )
    payloads_forgotten = counter(
        "coda_payloads_forgotten",
        "unanswered batches that a restarted MQTT broker would not get again, for want of memory",
    )
    pushes_outstanding = gauge("coda_pushes_outstanding", "pushes whose outcome is not known yet")
    mqtt_failures = counter(
        "coda_mqtt_failures",
        "connections to the MQTT broker that failed or ended unasked, by reason",
        ["client", "reason"],
    )
    mqtt_refused = counter(
        "coda_mqtt_refused", "messages that the MQTT broker refused, by reason", ["client", "reason"]
    )
    uploads = counter("coda_uploads", "events that devices uploaded and Kafka has")
    devices = gauge(
        "coda_devices", "devices by how much was predicted for them: new < 20 events, regular < 200, heavy", ["devices"]
    )
    group_connected = gauge("coda_group_devices_connected", "those of them with an open MQTT connection", ["devices"])
    devices_aside = gauge("coda_devices_aside", "devices that stand aside: personal heads do not earn their training")
    devices_unproven = gauge("coda_devices_unproven", "devices that train and use no heads: not proven to gain")
    devices_connected = gauge("coda_devices_connected", "devices with an open MQTT connection")
    faults_begun = counter("coda_faults_begun", "faults that `coda chaos` began, by what they break", ["fault"])
    faults_over = counter("coda_faults_over", "faults that are over, by what they broke", ["fault"])
    canaries_sent = counter("coda_canaries_sent", "canaries sent through everything, one a second")
    canaries_arrived = counter("coda_canaries_arrived", "canaries that came back to their device")
    canaries_lost = counter("coda_canaries_lost", "canaries that did not come back within a minute")
    canaries_in_flight = gauge("coda_canaries_in_flight", "canaries on their way")
    canary_s = gauge(
        "coda_canary_seconds",
        "how long the newest canary took, by leg: up to Kafka, match, down to its device",
        ["leg"],
    )
    canary_frontier_s = gauge(
        "coda_canary_timestamp_seconds",
        "wall clock: when the newest canary was sent that came back; age = time() - this",
    )
    predictions = counter("coda_predictions", "events predicted by every arm before anything learned from them")
    trainings = counter(
        "coda_trainings", "retrainings, by outcome: accepted, rolled_back, outdated, failed", ["outcome"]
    )
    batches = counter("coda_batches", "candidate batches that reached devices, by outcome", ["outcome"])
    base = gauge("coda_base", "1 for what devices add to, as the fleet was told: the arm `cloud` is that", ["base"])
    arm_auc = gauge("coda_arm_auc", "AUC of each arm so far", ["arm"])
    arm_gauc = gauge("coda_arm_gauc", "GAUC of each arm so far", ["arm"])
    lately_gain = gauge(
        "coda_lately_gauc_gain",
        "GAUC minus the cloud arm's over the newest 20,000 predictions, with the bounds of its 95 % interval",
        ["arm", "devices", "bound"],
    )
    lately_harmed = gauge(
        "coda_lately_harmed_share",
        "users whose AUC lies .02 below the cloud arm's, over the newest predictions",
        ["arm", "devices"],
    )
    lately_calibration = gauge(
        "coda_lately_calibration_error", "expected calibration error over the newest predictions", ["arm", "devices"]
    )
    cloud_loss = counter(
        "coda_cloud_log_loss", "log-loss (nats) of the cloud model's predictions, by its age in event time", ["age"]
    )
    cloud_loss_events = counter("coda_cloud_log_loss_events", "predictions that this loss is the sum of", ["age"])
    models_refused = counter(
        "coda_models_refused", "cloud models refused, by reason: older_version, unsigned, …", ["reason"]
    )
    cloud_versions = counter("coda_cloud_versions", "cloud model versions published")
    cloud_trials = counter(
        "coda_cloud_trials",
        "cloud models tried on the newest samples, by outcome: published, held_back",
        ["outcome"],
    )
    reports_passed_over = counter(
        "coda_reports_passed_over", "training reports that teach the fleet nothing, by reason", ["reason"]
    )
    samples_read = counter("coda_samples_read", "samples that the cloud trainer took in")
    samples_unlearned = gauge("coda_samples_unlearned", "samples that the next cloud model version will learn from")
    samples_passed_over = counter(
        "coda_samples_passed_over", "samples that no cloud model learned because too many waited for a better one"
    )
    names_left_out = gauge("coda_names_left_out", "items and categories that the newest cloud model has no room for")
    reporters_forgotten = counter("coda_reporters_forgotten", "devices whose sums the trainer let go for want of room")
    push_acks = counter(
        "coda_push_acks", "acknowledged pushes, by the device's answer; `reported` where it was lost", ["outcome"]
    )
    tunnel_rejected = counter("coda_tunnel_rejected", "messages the tunnel could not pass on, by reason", ["reason"])
    device_outcomes = counter(
        "coda_device_outcomes",
        "what became of everything on devices, by what it was: events, batches, models, tasks, trainings, …",
        ["what", "outcome"],
    )

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for definition in defined().values():
            vars(self)[definition.attribute] = definition.live(registry=self.registry)

    def values(self) -> dict[str, dict[str, float]]:
        """What was counted, by Prometheus name and then by labels, as `reason=late`; without zeros.

        Frontiers and ages since production are left out: a status says them otherwise.
        """
        shown: dict[str, dict[str, float]] = {}
        for name, definition in defined().items():
            for family in () if definition in _NOT_VALUES else vars(self)[definition.attribute].collect():
                for sample in family.samples:
                    if sample.name in {name, f"{name}_bucket"} and sample.value and math.isfinite(sample.value):
                        labels = ",".join(f"{label}={value}" for label, value in sample.labels.items())
                        shown.setdefault(sample.name, {})[labels] = sample.value
        return shown

    def value(self, definition: Definition[Any], **labels: str) -> float:
        """How much one series of a metric is; 0 before anything was counted.

        >>> Metrics().value(Metrics.rejected, reason="late")
        0.0
        """
        return self.registry.get_sample_value(definition.name, labels) or 0.0

    def event_frontier_ms(self, stage: str) -> int:
        """The newest event time that a stage of this process is through with; -1 before there is any.

        >>> Metrics().event_frontier_ms("pooled")
        -1
        """
        samples = (sample for family in self.event_frontier_s.collect() for sample in family.samples)
        return next((round(each.value * 1000) for each in samples if each.labels["stage"] == stage), -1)

    def ages(self) -> dict[str, tuple[int, ...]]:
        """By stage, how many things passed at an age within each of `FRESHNESS_BUCKETS_S`, and beyond."""
        children = cast(dict[tuple[str, ...], Histogram], dict(self.freshness_s._metrics))
        return {labels[0]: tuple(int(bucket.get()) for bucket in child._buckets) for labels, child in children.items()}


# A status says these in types of its own: its frontiers and its ages.
_NOT_VALUES: frozenset[Definition[Any]] = frozenset(
    (Metrics.freshness_s, Metrics.lag_events, Metrics.lag_seconds, Metrics.frontier_s, Metrics.event_frontier_s)
)

# Gauges of one and the same thing, seen from several processes: the largest speaks for all.
LARGEST_WINS = frozenset(
    each.name
    for each in (
        Metrics.model_version,
        Metrics.task_version,
        Metrics.devices_connected,
        Metrics.lag_events,
        Metrics.lag_seconds,
        Metrics.frontier_s,
        Metrics.event_frontier_s,
    )
)
# Gauges that each process of a fleet tells of its own share of the users: the fleet's is the mean of them.
AVERAGED = frozenset(
    each.name
    for each in (
        Metrics.arm_auc,
        Metrics.arm_gauc,
        Metrics.lately_gain,
        Metrics.lately_harmed,
        Metrics.lately_calibration,
    )
)
# Gauges of what is gone with its process; what all others show is kept on its disk.
FLEETING = frozenset(
    each.name
    for each in (
        Metrics.group_connected,
        Metrics.devices_connected,
        Metrics.pushes_outstanding,
        Metrics.canaries_in_flight,
        Metrics.canary_s,
    )
)


@cache
def defined() -> dict[str, Definition[Any]]:
    """Every metric, by the name it has in Prometheus.

    >>> [name for name in defined() if "waiting" in name]
    ['coda_samples_waiting']
    """
    return {each.name: each for each in vars(Metrics).values() if isinstance(each, Definition)}


@dataclass(frozen=True, slots=True)
class Described:
    """A metric for people: `labels` with how many values each takes at most."""

    name: str
    kind: str
    labels: dict[str, str]
    means: str


def described() -> list[Described]:
    """Every metric, in words.

    >>> next(each for each in described() if each.name == "coda_arm_auc").labels
    {'arm': '8'}
    """
    return [
        Described(each.name, each.kind, {label: VALUES[label] for label in each.labels}, each.means)
        for each in defined().values()
    ]


def pairs(labels: str) -> dict[str, str]:
    """The labels of a series of `values`.

    >>> pairs("arm=coda,bound=low")
    {'arm': 'coda', 'bound': 'low'}
    """
    return dict(pair.partition("=")[::2] for pair in labels.split(","))
