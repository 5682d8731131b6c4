"""What the reports of all devices say together: the prior of their blends, what repeats say, prior variances, gain.

Which heads are best, and what they gain, changes while a stream goes on: what was said of that fades. What people are
like, how they come back and how far they differ, is summed over all lives.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from models.blend import ADJUSTED, HEADS, PERSONAL, fleet_prior
from models.evidence import EQUATIONS, by_regression, unpack
from models.gain import DOUBTFUL, HOPEFUL, WORTH, fleet_gain
from models.gain import MOST as MOST_GAIN
from models.prior_variance import clipped, factors_of, learned_variances
from models.repeats import learned_weights
from monitor.metrics import Metrics
from streams.training.fading import Fading
from streams.training.newest import Newest
from wire.moments import WallMs
from wire.task import Task
from wire.telemetry import Training

# A new task is worth it once a head's log-weight moved so far, in nats: the blends of devices with few events of their
# own live by the prior. Below LEAST it no longer matters: the prior's floor (`models.blend.UNIFORM_SHARE`) is above it.
NOTABLE, LEAST = 0.5, -8.0
NOTABLE_WEIGHT = 0.1  # or once a trait of repeats weighs so much more or less, in logits
NOTABLE_FACTOR = 1.5  # or once a prior variance is so many times what it was, or was so many times what it is
NOTABLE_GAIN = 0.25  # or once what heads gain differs by so much of itself, or begins or ends to be worth a training
MOST = 1e9  # that a life sums up to: ten million events at 100 nats. More, and a device could drown out all others
# A report's sums: its events, what the cloud lost more on these than adjusted, and its gain; on how many events heads
# were trained, and what each lost more than that. Equations come last.
_EVENTS, _HEADS = 5, 1 + len(PERSONAL)
_ENDS = (_EVENTS, _EVENTS + _HEADS)
TAUGHT = ("head_prior", "repeats", "variances", "gain", "proven")  # fields of a task that reports say


class FleetReports:
    """What is newest of every device, summed. Only reports about all heads count, so that sums stay comparable.

    >>> FleetReports(Metrics()).taught(Task(task_version=1)) == Task(task_version=1)
    True
    """

    def __init__(self, metrics: Metrics) -> None:
        self._newest = Newest(_ENDS[-1] + EQUATIONS, metrics)
        self._events, self._heads = Fading(_EVENTS), Fading(_HEADS)
        # What the sums say, until the next report: callers ask whether it moved far more often than devices report.
        self._known: dict[str, Any] | None = None  # by field of the task

    @property
    def events(self) -> int:
        """Events that devices reported of."""
        return round(float(self._newest.total[0]))

    def add(self, report: Training, now_ms: WallMs) -> bool:
        """Take in what one device has summed in its life by now; False where it can't be used."""
        losses = {head: report.head_log_loss.get(head, np.nan) for head in HEADS}
        equations = unpack(report.evidence)
        if equations is None or not all(0 <= loss <= MOST for loss in losses.values()):
            return False
        of_repeats, of_variances = by_regression(equations)
        gain, excess = report.gain, {head: loss - losses[ADJUSTED] for head, loss in losses.items()}
        of_events = report.events, excess["cloud"], *msgspec.structs.astuple(gain)
        of_heads = gain.events, *map(excess.get, PERSONAL)
        sums = np.r_[of_events, of_heads, of_repeats, clipped(of_variances)]
        if np.abs(sums).max() > MOST or max(abs(gain.nats), gain.squares) > gain.events * MOST_GAIN:
            return False
        news = self._newest.put(report.user_id, report.boot, report.sequence, sums)
        if news is not None:
            of_all, of_trained, _ = np.split(news, _ENDS)
            # Gains fade with everybody's events: a fleet that stands aside grows unsure of them, and looks again.
            self._events.add(of_all, of_all[0], now_ms)
            self._heads.add(of_trained, of_trained[0], now_ms)
            self._known = None
        return True

    def taught(self, task: Task) -> Task:
        """The task with what is known by now, rounded so that noise makes no new task; itself before any report."""
        if not self.events:
            return task
        if self._known is None:
            events, of_cloud, *gain = self._events.sums.tolist()
            trained, *of_heads = self._heads.sums.tolist()
            excess = dict(zip(PERSONAL, of_heads, strict=True)) | {"cloud": of_cloud}
            weights = fleet_prior(excess, dict.fromkeys(PERSONAL, trained) | {"cloud": events})
            prior = {head: max(LEAST, round(weight, 2)) for head, weight in weights.items()}
            of_repeats, of_variances = by_regression(self._newest.total[_ENDS[-1] :])
            self._known = {
                "head_prior": prior,
                "repeats": learned_weights(of_repeats),
                "variances": learned_variances(of_variances),
                "gain": fleet_gain(HOPEFUL, *gain),
                "proven": fleet_gain(DOUBTFUL, *gain),
            }
        return msgspec.structs.replace(task, **self._known)

    def moved(self, task: Task) -> bool:
        """Whether devices that have `task` should hear of what is known by now."""
        taught = self.taught(task)
        heads = _moved(taught.head_prior, task.head_prior, NOTABLE)
        repeats = _moved(taught.repeats, task.repeats, NOTABLE_WEIGHT)
        factors = factors_of(taught) / factors_of(task)
        gains = ((taught.gain, task.gain), (taught.proven, task.proven))
        gain = any(_gains_otherwise(*each) for each in gains)
        return heads or repeats or gain or bool((np.abs(np.log(factors)) >= np.log(NOTABLE_FACTOR)).any())


def _gains_otherwise(now: float, before: float) -> bool:
    return (now >= WORTH) != (before >= WORTH) or abs(now - before) >= max(WORTH, NOTABLE_GAIN * abs(before))


def _moved(now: Mapping[str, float], before: Mapping[str, float], notable: float) -> bool:
    return any(abs(value - before.get(name, 0.0)) >= notable for name, value in now.items())
