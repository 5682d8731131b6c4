"""Whether blending left anybody worse off than the cloud model alone, by more than it may (`models.blend`)."""

import msgspec
import numpy as np
import polars as pl

from models.blend import most_harm
from models.scores import log_losses

ARM = "coda"  # the one that is looked at


class Harm(msgspec.Struct, frozen=True, kw_only=True):
    """Of `devices` so many went `over_bound`.

    At some moment their log-loss, summed up since their first event, exceeded the cloud's by more than the bound for so
    many events. `worst_nats` is the largest excess of any device at any moment, `bound_nats` what was allowed there.
    """

    devices: int
    over_bound: int
    worst_nats: float
    bound_nats: float


def harm_of(predictions: pl.DataFrame, discount: float) -> Harm:
    """The harm that arm `ARM` did; `predictions` in event-time order with columns user_id, label and one per arm."""
    label = predictions["label"].to_numpy()
    losses = {arm: log_losses(label, predictions[arm].to_numpy()) for arm in (ARM, "cloud")}
    sums = predictions.select("user_id", nats=pl.Series(losses[ARM] - losses["cloud"])).select(
        "user_id", pl.col("nats").cum_sum().over("user_id"), events=pl.int_range(1, pl.len() + 1).over("user_id")
    )
    bound = most_harm(sums["events"].to_numpy(), discount)
    over = sums["user_id"].filter(sums["nats"].to_numpy() > bound)
    worst = int(np.argmax(sums["nats"].to_numpy()))
    return Harm(
        devices=sums["user_id"].n_unique(),
        over_bound=over.n_unique(),
        worst_nats=round(float(sums["nats"][worst]), 6),
        bound_nats=round(float(bound[worst]), 6),
    )
