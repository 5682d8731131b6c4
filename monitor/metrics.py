"""The names of everything we measure, and the one registry that holds them.

Every process tells them in its status, which the live views and all accounts are made of, and serves them to
Prometheus at 127.0.0.1:<metrics port>/metrics. Counters end in `_total`, units come last.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import cast

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

# How many values a label takes at most: Prometheus holds a series for each.
VALUES = {
    "age": "6",
    "arm": "8",
    "bound": "3",
    "client": "2",
    "devices": "4",
    "fault": "30",
    "group": "4",
    "leg": "3",
    "outcome": "30",
    "partition": "one per partition",
    "reason": "30",
    "shard": "one per shard",
    "stage": "9",
    "topic": "one per topic",
    "use": "4",
    "what": "10",
}

# From 1 ms to 60 s, denser where the targets lie (250 ms, 500 ms, 2 s).
FRESHNESS_BUCKETS_S = (
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.15,
    0.2,
    0.25,
    0.3,
    0.4,
    0.5,
    0.75,
    1,
    1.5,
    2,
    3,
    5,
    10,
    20,
    60,
)

# From a minute to a year of event time: what is kept for 90 days may be as old.
USE_BUCKETS_S = (60.0, 600.0, 3600.0, 21600.0, 86400.0, 259200.0, 604800.0, 2592000.0, 7776000.0, 31536000.0)

produced = Counter("coda_events_produced", "events the replay handed to Kafka or to devices")
rejected = Counter("coda_events_rejected", "events not pooled, by reason", ["reason"])
pooled = Counter("coda_samples_pooled", "distinct samples written to the pool")
matches = Counter("coda_matches", "matches sent, by what made them due", ["reason"])
matches_given_up = Counter(
    "coda_matches_given_up",
    "match queries that ended without a batch, by reason: superseded, versions, shards",
    ["reason"],
)
users = Gauge("coda_users", "users whose states the dataflow keeps")
users_forgotten = Counter(
    "coda_users_forgotten", "users whose states were let go, by reason: idle, crowded", ["reason"]
)
items = Gauge("coda_items", "items whose takers the dataflow counts, or has counted")
items_forgotten = Counter("coda_items_forgotten", "items whose takers are counted anew, by reason: crowded", ["reason"])
samples_waiting = Gauge("coda_samples_waiting", "samples that wait until enough users took their item")
requests_rejected = Counter("coda_requests_rejected", "device requests that could not be read")
pool_live = Gauge("coda_pool_live_samples", "samples in the pool's window", ["shard"])
model_version = Gauge("coda_model_version", "cloud model version in use")
task_version = Gauge("coda_task_version", "version of the training task in use")
freshness_s = Histogram(
    "coda_freshness_seconds", "age since the produce timestamp, per stage", ["stage"], buckets=FRESHNESS_BUCKETS_S
)
use_age_s = Histogram(
    "coda_use_age_seconds",
    "event time: age of what is used: own, matched and random samples in a training, the cloud model in a prediction",
    ["use"],
    buckets=USE_BUCKETS_S,
)
lag_events = Gauge("coda_lag_events", "events produced but not yet processed", ["group", "topic", "partition"])
lag_seconds = Gauge("coda_lag_seconds", "age of the oldest event not yet processed", ["group", "topic", "partition"])
frontier_s = Gauge(
    "coda_frontier_timestamp_seconds",
    "wall clock: what was there at this moment is done, per stage; age = time() - this",
    ["stage", "partition"],
)
event_frontier_s = Gauge(
    "coda_event_frontier_timestamp_seconds", "newest event time that a stage is through with", ["stage"]
)
pushes = Counter("coda_pushes", "candidate batches pushed to devices")
push_outcomes = Counter("coda_push_outcomes", "what became of pushes: acknowledged, superseded, expired", ["outcome"])
payloads_forgotten = Counter(
    "coda_payloads_forgotten", "unanswered batches that a restarted MQTT broker would not get again, for want of memory"
)
pushes_outstanding = Gauge("coda_pushes_outstanding", "pushes whose outcome is not known yet")
mqtt_failures = Counter(
    "coda_mqtt_failures", "connections to the MQTT broker that failed or ended unasked, by reason", ["client", "reason"]
)
mqtt_refused = Counter("coda_mqtt_refused", "messages that the MQTT broker refused, by reason", ["client", "reason"])
uploads = Counter("coda_uploads", "events that devices uploaded and Kafka has")
devices = Gauge(
    "coda_devices", "devices by how much was predicted for them: new < 20 events, regular < 200, heavy", ["devices"]
)
group_connected = Gauge("coda_group_devices_connected", "those of them with an open MQTT connection", ["devices"])
devices_connected = Gauge("coda_devices_connected", "devices with an open MQTT connection")
faults_begun = Counter("coda_faults_begun", "faults that `coda chaos` began, by what they break", ["fault"])
faults_over = Counter("coda_faults_over", "faults that are over, by what they broke", ["fault"])
canaries_sent = Counter("coda_canaries_sent", "canaries sent through everything, one a second")
canaries_arrived = Counter("coda_canaries_arrived", "canaries that came back to their device")
canaries_lost = Counter("coda_canaries_lost", "canaries that did not come back within a minute")
canaries_in_flight = Gauge("coda_canaries_in_flight", "canaries on their way")
canary_s = Gauge(
    "coda_canary_seconds", "how long the newest canary took, by leg: up to Kafka, match, down to its device", ["leg"]
)
canary_frontier_s = Gauge(
    "coda_canary_timestamp_seconds", "wall clock: when the newest canary was sent that came back; age = time() - this"
)
predictions = Counter("coda_predictions", "events predicted by every arm before anything learned from them")
trainings = Counter("coda_trainings", "retrainings, by outcome: accepted, rolled_back, failed", ["outcome"])
batches = Counter("coda_batches", "candidate batches that reached devices, by outcome", ["outcome"])
arm_auc = Gauge("coda_arm_auc", "AUC of each arm so far", ["arm"])
arm_gauc = Gauge("coda_arm_gauc", "GAUC of each arm so far", ["arm"])
lately_gain = Gauge(
    "coda_lately_gauc_gain",
    "GAUC minus the cloud arm's over the newest 20,000 predictions, with the bounds of its 95 % interval",
    ["arm", "devices", "bound"],
)
lately_harmed = Gauge(
    "coda_lately_harmed_share",
    "users whose AUC lies .02 below the cloud arm's, over the newest predictions",
    ["arm", "devices"],
)
lately_calibration = Gauge(
    "coda_lately_calibration_error", "expected calibration error over the newest predictions", ["arm", "devices"]
)
cloud_loss = Counter(
    "coda_cloud_log_loss", "log-loss (nats) of the cloud model's predictions, by its age in event time", ["age"]
)
cloud_loss_events = Counter("coda_cloud_log_loss_events", "predictions that this loss is the sum of", ["age"])
models_refused = Counter(
    "coda_models_refused", "cloud models refused, by reason: older_version, unsigned, …", ["reason"]
)
cloud_versions = Counter("coda_cloud_versions", "cloud model versions published")
cloud_trials = Counter(
    "coda_cloud_trials",
    "cloud models tried on the newest samples, by outcome: published, held_back",
    ["outcome"],
)
reports_passed_over = Counter(
    "coda_reports_passed_over", "training reports that teach the fleet nothing, by reason", ["reason"]
)
samples_read = Counter("coda_samples_read", "samples that the cloud trainer took in")
samples_unlearned = Gauge("coda_samples_unlearned", "samples that the next cloud model version will learn from")
samples_passed_over = Counter(
    "coda_samples_passed_over", "samples that no cloud model learned because too many waited for a better one"
)
names_left_out = Gauge("coda_names_left_out", "items and categories that the newest cloud model has no room for")
reporters_forgotten = Counter("coda_reporters_forgotten", "devices whose sums the trainer let go for want of room")
push_acks = Counter(
    "coda_push_acks", "acknowledged pushes, by the device's answer; `reported` where it was lost", ["outcome"]
)
tunnel_rejected = Counter("coda_tunnel_rejected", "messages the tunnel could not pass on, by reason", ["reason"])
device_outcomes = Counter(
    "coda_device_outcomes",
    "what became of events, batches, models, tasks, paces, trainings and attendances on devices",
    ["what", "outcome"],
)


# A status says these in types of its own: its frontiers and its ages.
_NOT_VALUES = (freshness_s, lag_events, lag_seconds, frontier_s, event_frontier_s)


@cache
def defined() -> dict[str, MetricWrapperBase]:
    """Every metric of ours, by the name it has in Prometheus.

    >>> [name for name in defined() if "waiting" in name]
    ['coda_samples_waiting']
    """
    found = [each for each in globals().values() if isinstance(each, MetricWrapperBase)]
    return {name_of(each): each for each in found}


@dataclass(frozen=True, slots=True)
class Described:
    """A metric for people: `labels` with how many values each takes at most."""

    name: str
    kind: str
    labels: dict[str, str]
    means: str


def described() -> list[Described]:
    """Every metric of ours, in words.

    >>> next(each for each in described() if each.name == "coda_arm_auc").labels
    {'arm': '8'}
    """
    return [
        Described(
            name, f"{metric._type}", {label: VALUES[label] for label in metric._labelnames}, metric._documentation
        )
        for name, metric in defined().items()
    ]


def name_of(metric: MetricWrapperBase) -> str:
    """Its name in Prometheus.

    >>> name_of(pooled)
    'coda_samples_pooled_total'
    """
    return f"{metric._name}_total" if metric._type == "counter" else f"{metric._name}"


# Gauges of one and the same thing, seen from several processes: the largest speaks for all.
LARGEST_WINS = frozenset(
    map(
        name_of, (model_version, task_version, devices_connected, lag_events, lag_seconds, frontier_s, event_frontier_s)
    )
)
# Gauges of what is gone with its process; what all others show is kept on its disk.
FLEETING = frozenset(
    map(name_of, (group_connected, devices_connected, pushes_outstanding, canaries_in_flight, canary_s))
)


def values() -> dict[str, dict[str, float]]:
    """What this process counted, by Prometheus name and then by labels, as `reason=late`; without zeros.

    Frontiers and ages since production are left out: a status says them otherwise.

    >>> rejected.labels("late").inc(2)
    >>> values()["coda_events_rejected_total"]["reason=late"] >= 2
    True
    """
    shown: dict[str, dict[str, float]] = {}
    for name, metric in defined().items():
        for family in () if metric in _NOT_VALUES else metric.collect():
            for sample in family.samples:
                if sample.name in {name, f"{name}_bucket"} and sample.value and math.isfinite(sample.value):
                    labels = ",".join(f"{label}={value}" for label, value in sample.labels.items())
                    shown.setdefault(sample.name, {})[labels] = sample.value
    return shown


def pairs(labels: str) -> dict[str, str]:
    """The labels of a series of `values`.

    >>> pairs("arm=coda,bound=low")
    {'arm': 'coda', 'bound': 'low'}
    """
    return dict(pair.partition("=")[::2] for pair in labels.split(","))


def event_frontier_ms(stage: str) -> int:
    """The newest event time that a stage of this process is through with; -1 before there is any.

    >>> event_frontier_ms("nothing")
    -1
    """
    child = cast(dict[tuple[str, ...], Gauge], event_frontier_s._metrics).get((stage,))
    return round(child._value.get() * 1000) if child is not None else -1


def ages() -> dict[str, tuple[int, ...]]:
    """By stage, how many things passed at an age within each of `FRESHNESS_BUCKETS_S`, and beyond."""
    children = cast(dict[tuple[str, ...], Histogram], dict(freshness_s._metrics))
    return {
        labels[0]: tuple(int(bucket.get()) for bucket in histogram._buckets) for labels, histogram in children.items()
    }
