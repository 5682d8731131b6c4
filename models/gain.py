"""What personal heads gain, by a device's own events and by the fleet's, and whether that is worth a training.

The gain of an event is (label − p) · d: p is the chance that the blend of those heads gives it that no training makes
(`blend.FREE`), d is what the personal heads of the blend add to the logit. So it is, to first order and in nats, by how
much the log-likelihood grows by what heads add: the score statistic (Rao 1948) of leaning their way. Both are known
before the event; where there is nothing to find it is 0 on average, however sure of themselves heads are, and where
heads lean the right way it is above 0, even if they lean too far, which costs log-loss and no ranking.

Say that the gains of one device vary about its mean by σ², and the means of devices about the fleet's mean m by τ². Who
saw n events with the mean g then best expects

    (K·m + n·g) / (K + n),   K = σ² / τ²,

which is what normal shrinkage says (Efron and Morris 1975, "Data analysis using Stein's estimator").
"""

import math

import numpy as np

from wire.arrays import F64
from wire.task import HOPE

# Nats per event that make up for trainings. Devices whose users like a fifth of what they meet twice as often as the
# rest (`benchmarks.planted`, tastes) gain two to three times as much, which is worth .02 of GAUC.
WORTH = 0.001
# K of τ = .0024 at σ = .053, as on that log. With 100 a device with 24 events is off by .053 · √24 / 124 = .002: of
# those to whom heads are worth twice a training every third would stand aside by chance.
FLEET_EVENTS = 500
MOST = 1.0  # nats: no event counts for more, or one that a head was sure of would decide for a fleet
# Standard errors above the fleet's mean: of seven fleets whose gain is just worth it one is told otherwise, until
# probes say better.
_DOUBT = 1.0


def gains(label: F64, free: F64, lean: F64) -> F64:
    """The gains of events, shape as given: `free` is their chance without personal heads, `lean` what these add.

    >>> gains(np.array([1.0, 0.0]), np.array([0.4, 0.4]), np.array([0.1, 0.1])).round(2).tolist()
    [0.06, -0.04]
    """
    gained: F64 = np.clip((label - free) * lean, -MOST, MOST)
    return gained


def expected(events: float, nats: float, fleet: float) -> float:
    """What a device may expect of its heads, nats per event: it saw `events` that gained `nats` together, and the fleet
    gains `fleet` on each.

    >>> expected(0, 0.0, 0.02), expected(500, 0.0, 0.02)
    (0.02, 0.01)
    """
    return (FLEET_EVENTS * fleet + nats) / (FLEET_EVENTS + events)


def fleet_gain(events: float, nats: float, squares: float) -> float:
    """What heads gain at most per event, as far as the fleet can tell from the sums of gains and of their squares.

    >>> fleet_gain(0, 0.0, 0.0), fleet_gain(10_000, -10.0, 9.01)
    (0.05, -0.0007)
    """
    if events < 1:
        return HOPE
    mean = nats / events
    error = math.sqrt(max(squares / events - mean * mean, 0) / events)
    return min(HOPE, round(mean + _DOUBT * error, 5))
