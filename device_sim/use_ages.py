"""Freshness at use: how old, in event time, what devices train on and predict with is when they do."""

import numpy as np

from device_sim.instruction import Train
from models.scores import log_losses
from monitor.freshness import observe_use
from monitor.metrics import Metrics
from wire.arrays import F64, I64, U8
from wire.candidates import CandidateBatch

AGES_S = {"< 1 h": 0.0, "1 h": 3600.0, "6 h": 21600.0, "1 d": 86400.0, "7 d": 604800.0, "30 d": 2592000.0}  # from


def observe_training(metrics: Metrics, train: Train, batch: CandidateBatch | None) -> None:
    """A device trained: on its own samples, and on those of its `batch`, unpacked, if it has one."""
    observe_use(metrics, "own", (train.event_time - train.rows.timestamp) / 1000)
    if batch is not None:
        since_s = max(0, train.event_time - batch.query_timestamp) / 1000
        observe_use(metrics, "matched", batch.matched.age_s + since_s)
        observe_use(metrics, "random", batch.random.age_s + since_s)


def observe_predictions(metrics: Metrics, timestamps: I64, trained_until: list[int], *, label: U8, cloud: F64) -> None:
    """Events (event time, ms) were predicted by cloud models that had learned until then (event time, ms).

    `cloud` are the cloud arm's probabilities: their loss by the age of its version says whether it is time for a newer.
    """
    ages_s = (timestamps - np.array(trained_until, np.int64)) / 1000
    observe_use(metrics, "model", ages_s)
    losses = log_losses(label, cloud)
    age = np.searchsorted(list(AGES_S.values()), np.maximum(ages_s, 0.0), side="right") - 1
    for n in np.unique(age):
        name = list(AGES_S)[n]
        metrics.cloud_loss.labels(name).inc(float(losses[age == n].sum()))
        metrics.cloud_loss_events.labels(name).inc(int((age == n).sum()))
