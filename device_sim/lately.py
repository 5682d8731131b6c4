"""How the arms compare lately: over the newest predictions, by users, against the cloud arm on the same events."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from models.scores import auc_of_groups, ece
from wire.arrays import F32, F64, I64, U8, U64, Bool

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


def group_of(predicted: int) -> str:
    """The group of a device that has predicted so many events.

    >>> group_of(0), group_of(20), group_of(5000)
    ('new', 'regular', 'heavy')
    """
    return next(name for name, (_, below) in DEVICES.items() if predicted < below)


class Lately:
    """The newest of all predictions so far: user keys, labels, and what each of `arms` said, "cloud" among them."""

    def __init__(self, user: U64, label: U8, arms: Mapping[str, F32]) -> None:
        everyone, seen = np.unique(user, return_counts=True)
        self._user, self._label = user[-WINDOW:], label[-WINDOW:]
        self._arms = {arm: said[-WINDOW:] for arm, said in arms.items()}
        self._so_far: I64 = seen[np.searchsorted(everyone, self._user)]

    def gains(self) -> Iterator[Gain]:
        """Of every arm over all devices, and of coda over each group of them.

        Users with one label only say nothing, and of fewer than two users there is no interval.
        """
        users, first, place, events = np.unique(self._user, return_index=True, return_inverse=True, return_counts=True)
        place = place.astype(np.int64)
        of_each = {arm: auc_of_groups(place, len(users), self._label, said) for arm, said in self._arms.items()}
        cloud = of_each["cloud"]
        told = ~np.isnan(cloud)
        for arm, each in of_each.items():
            if arm != "cloud":
                yield from _gain(arm, "all", each - cloud, events, told)
        for name, members in self._groups(self._so_far[first]):
            if "coda" in of_each:
                yield from _gain("coda", name, of_each["coda"] - cloud, events, told & members)

    def calibration(self) -> Iterator[tuple[str, str, float]]:
        """Expected calibration error by arm and devices: of every arm over all, of coda over each group of them."""
        for arm, said in self._arms.items():
            yield arm, "all", ece(self._label, said)
        for name, members in self._groups(self._so_far):
            if members.any() and "coda" in self._arms:
                yield "coda", name, ece(self._label[members], self._arms["coda"][members])

    def _groups(self, so_far: I64) -> Iterator[tuple[str, Bool]]:
        for name, (least, below) in DEVICES.items():
            yield name, (so_far >= least) & (so_far < below)


def _gain(arm: str, devices: str, gain: F64, events: I64, of: Bool) -> Iterator[Gain]:
    """The mean over users, weighed by their events; its error is that of a ratio of sums over independent users."""
    gain, weight, n = gain[of], events[of].astype(np.float64), int(of.sum())
    if n < 2:
        return
    mean = float(weight @ gain / weight.sum())
    error = float(np.sqrt(n / (n - 1) * ((weight * (gain - mean)) ** 2).sum()) / weight.sum())
    yield Gain(arm, devices, mean - _Z * error, mean, mean + _Z * error, float((gain < -HARM).mean()))
