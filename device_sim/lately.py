"""How the arms compare lately: over the newest predictions, by users, against the cloud arm on the same events."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.scores import auc_of_groups, ece
from wire.arrays import F32, F64, I64, U8, U64, Bool
from wire.task import ARMS

WINDOW = 20_000  # predictions: enough for intervals of about a hundredth, few enough to see a change within a day
HARM = 0.02  # a user's AUC below the cloud arm's by more than this counts as harm
DEVICES = {"new": (0, 20), "regular": (20, 200), "heavy": (200, 1 << 62)}  # by events predicted so far: from, below
_Z = 1.96  # standard errors to either side of 95 %


@dataclass(frozen=True, slots=True)
class Gain:
    """GAUC of `arm` minus the cloud arm's over some `devices`, with its 95 % interval, and the share that is harmed."""

    arm: str
    devices: str
    low: float
    mean: float
    high: float
    harmed: float


def gains(user: U64, label: U8, arms: F32) -> Iterator[Gain]:
    """Of every arm over all devices, and of coda over each group of them; `arms` (n, arms), all predictions so far.

    Users with one label only say nothing, and of fewer than two users there is no interval.
    """
    everyone, seen = np.unique(user, return_counts=True)
    user, label, arms = user[-WINDOW:], label[-WINDOW:], arms[-WINDOW:]
    users, place, events = np.unique(user, return_inverse=True, return_counts=True)
    of_each = [auc_of_groups(place.astype(np.int64), len(users), label, arms[:, n]) for n in range(len(ARMS))]
    cloud = of_each[ARMS.index("cloud")]
    told, so_far = ~np.isnan(cloud), seen[np.searchsorted(everyone, users)]
    for arm, each in zip(ARMS, of_each, strict=True):
        if arm != "cloud":
            yield from _gain(arm, "all", each - cloud, events, told)
    for name, (least, below) in DEVICES.items():
        members = told & (so_far >= least) & (so_far < below)
        yield from _gain("coda", name, of_each[ARMS.index("coda")] - cloud, events, members)


def calibration(label: U8, arms: F32) -> dict[str, float]:
    """Expected calibration error of each arm over the newest predictions."""
    return {arm: ece(label[-WINDOW:], arms[-WINDOW:, n]) for n, arm in enumerate(ARMS)}


def _gain(arm: str, devices: str, gain: F64, events: I64, of: Bool) -> Iterator[Gain]:
    """The mean over users, weighed by their events; its error is that of a ratio of sums over independent users."""
    gain, weight, n = gain[of], events[of].astype(np.float64), int(of.sum())
    if n < 2:
        return
    mean = float(weight @ gain / weight.sum())
    error = float(np.sqrt(n / (n - 1) * ((weight * (gain - mean)) ** 2).sum()) / weight.sum())
    yield Gain(arm, devices, mean - _Z * error, mean, mean + _Z * error, float((gain < -HARM).mean()))
