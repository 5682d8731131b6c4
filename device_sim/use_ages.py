"""Freshness at use: how old, in event time, what devices train on and predict with is when they do."""

import numpy as np

from device_sim.instruction import Train
from monitor.freshness import observe_use
from wire.arrays import I64


def observe_training(train: Train) -> None:
    """A device trained: on its own samples, and on those of its batch if it has one."""
    observe_use("own", (train.event_time - train.rows.timestamp) / 1000)
    if (batch := train.batch) is not None:
        since_s = max(0, train.event_time - batch.query_timestamp) / 1000
        observe_use("matched", batch.matched.age_s + since_s)
        observe_use("random", batch.random.age_s + since_s)


def observe_predictions(timestamps: I64, trained_until: list[int]) -> None:
    """Events (event time, ms) were predicted by cloud models that had learned until then (event time, ms)."""
    observe_use("model", (timestamps - np.array(trained_until, np.int64)) / 1000)
