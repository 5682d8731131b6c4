"""The state of the whole system at one moment, in the words that people ask for; one line of `timeline.jsonl`."""

import msgspec

from monitor import metrics
from monitor.metrics import name_of
from monitor.scrape import Snapshot

# In the order in which an event passes them; other stages follow by name.
STAGES = ("pooled", "matched", "tunnelled", "pushed", "trained")


class Freshness(msgspec.Struct, frozen=True):
    """Age since the produce timestamp at one stage, in seconds, and how many things were seen to pass it."""

    count: int
    p50_s: float
    p95_s: float
    p99_s: float


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Everything worth showing, `elapsed_s` after the start; counts are since the start of the processes.

    `freshness` covers what passed since the earlier snapshot that the state was read against.
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
    lag_events: dict[str, int] = {}
    lag_seconds: dict[str, float] = {}
    pushes: int = 0
    push_outcomes: dict[str, int] = {}
    pushes_outstanding: int = 0
    uploads: int = 0
    devices_connected: int = 0
    predictions: int = 0
    trainings: dict[str, int] = {}
    batches: dict[str, int] = {}
    arm_auc: dict[str, float] = {}
    arm_gauc: dict[str, float] = {}


def read_state(now: Snapshot, since: Snapshot, elapsed_s: float, phase: str) -> State:
    """The state that `now` shows, with the freshness of what happened after `since`."""
    return State(
        elapsed_s=round(elapsed_s, 3),
        phase=phase,
        produced=int(now.total(name_of(metrics.produced))),
        pooled=int(now.total(name_of(metrics.pooled))),
        waiting=int(now.total(name_of(metrics.samples_waiting))),
        rejected=_counts(now, name_of(metrics.rejected), "reason"),
        matches=_counts(now, name_of(metrics.matches), "reason"),
        pool_live=int(now.total(name_of(metrics.pool_live))),
        model_version=int(now.total(name_of(metrics.model_version))),
        cloud_versions=int(now.total(name_of(metrics.cloud_versions))),
        freshness=_freshness(now, since),
        lag_events=_counts(now, name_of(metrics.lag_events), "group"),
        lag_seconds=_oldest(now),
        pushes=int(now.total(name_of(metrics.pushes))),
        push_outcomes=_counts(now, name_of(metrics.push_outcomes), "outcome"),
        pushes_outstanding=int(now.total(name_of(metrics.pushes_outstanding))),
        uploads=int(now.total(name_of(metrics.uploads))),
        devices_connected=int(now.total(name_of(metrics.devices_connected))),
        predictions=int(now.total(name_of(metrics.predictions))),
        trainings=_counts(now, name_of(metrics.trainings), "outcome"),
        batches=_counts(now, name_of(metrics.batches), "outcome"),
        arm_auc=now.by(name_of(metrics.arm_auc), "arm"),
        arm_gauc=now.by(name_of(metrics.arm_gauc), "arm"),
    )


def events_per_s(earlier: State, later: State) -> float:
    """Events produced per second between two states."""
    elapsed = later.elapsed_s - earlier.elapsed_s
    return (later.produced - earlier.produced) / elapsed if elapsed > 0 else 0.0


def _counts(snapshot: Snapshot, name: str, label: str) -> dict[str, int]:
    return {key: int(value) for key, value in sorted(snapshot.by(name, label).items())}


def _oldest(snapshot: Snapshot) -> dict[str, float]:
    """Seconds of lag per group: its worst partition, since a sum of ages means nothing."""
    oldest: dict[str, float] = {}
    for (name, labels), value in snapshot.values.items():
        if name == name_of(metrics.lag_seconds):
            group = dict(labels)["group"]
            oldest[group] = max(oldest.get(group, 0.0), value)
    return oldest


def _freshness(now: Snapshot, since: Snapshot) -> dict[str, Freshness]:
    name = name_of(metrics.freshness_s)
    found: dict[str, Freshness] = {}
    for stage in sorted(now.label_values(name, "stage"), key=_place):
        passed = now.histogram(name, stage=stage).combine(since.histogram(name, stage=stage), -1)
        if passed.count:
            p50, p95, p99 = (round(passed.quantile(q), 4) for q in (0.5, 0.95, 0.99))
            found[stage] = Freshness(int(passed.count), p50, p95, p99)
    return found


def _place(stage: str) -> tuple[int, str]:
    return (STAGES.index(stage) if stage in STAGES else len(STAGES), stage)
