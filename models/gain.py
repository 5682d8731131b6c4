"""What personal heads gain, by a device's own events and by the fleet's: whether it is worth a training, and a use.

With d what the personal heads of the blend add to an event's logit, and p the chance that the blend of those heads
gives it that no training makes (`blend.FREE`), label − p is what personal heads are to make up for. The gain of an
event is (label − p) · d, both taken from their means in an interval of a few events. To first order and in nats, that
is by how much the log-likelihood grows by what heads add (the score statistic, Rao 1948), but for what adding the same
to all of the interval would do: heads are to rank what a user meets by then. Who takes more in one hour than in
another is for the user bias, and a head that follows it ranks worse and looks as if it gained. Where there is nothing
to find gains are 0 on average, or a little below; where heads lean the right way they are above, even if heads lean
too far, which costs log-loss and no ranking.

Say that the gains of one device vary about its mean by σ², and the means of devices about the fleet's mean m by τ². Who
saw n events with the mean g then best expects

    (K·m + n·g) / (K + n),   K = σ² / τ²,

which is what normal shrinkage says (Efron and Morris 1975, "Data analysis using Stein's estimator").
"""

from wire.task import HOPE

# Nats per event that make up for trainings. On planted logs (`benchmarks.planted`) a thousandth was worth some .01 of
# GAUC, so that this is the .005 that somebody would notice.
WORTH = 0.0005
# K of τ = .0024 at σ = .053, as on the planted log `tastes`. With 100 a device with 24 events is off by
# .053 · √24 / 124 = .002, four times what a training is worth, by chance.
FLEET_EVENTS = 500
MOST = 1.0  # nats: no event counts for more, or one that a head was sure of would decide for a fleet
# What fleets are thought to gain before they say anything, nats per event, and by how much they are thought to differ:
# to find out whether training pays one hopes, or nobody would try; before heads are used one doubts.
HOPEFUL, DOUBTFUL = (HOPE, 0.005), (0.0, 0.002)
_SPREAD = 0.053  # of the gains of one fleet's events at least: those of a few say too little of it


class Interval:
    """Events of one device that are compared with each other: how many so far, and the means of their residuals (label
    − chance without personal heads) and leans (what these add).

    >>> interval = Interval()
    >>> [interval.gain(residual, lean) for residual, lean in ((0.6, 0.1), (-0.4, -0.1), (-0.4, 0.3))]
    [None, 0.1, -0.1]
    """

    __slots__ = ("events", "lean", "residual")

    def __init__(self, events: float = 0.0, residual: float = 0.0, lean: float = 0.0) -> None:
        self.events, self.residual, self.lean = events, residual, lean

    def gain(self, residual: float, lean: float) -> float | None:
        """What the next event gained; None for the first, which has none to be compared with.

        They sum up to Σ (residual − mean) · (lean − mean), of one event less than the interval has (Welford 1962).
        """
        from_residual, from_lean = residual - self.residual, lean - self.lean
        self.events += 1
        self.residual += from_residual / self.events
        self.lean += from_lean / self.events
        if self.events == 1:
            return None
        return min(MOST, max(-MOST, (1 - 1 / self.events) * from_residual * from_lean))


def expected(events: float, nats: float, fleet: float) -> float:
    """What a device may expect of its heads, nats per event: it saw `events` that gained `nats` together, and the fleet
    gains `fleet` on each.

    >>> expected(0, 0.0, 0.02), expected(500, 0.0, 0.02)
    (0.02, 0.01)
    """
    return (FLEET_EVENTS * fleet + nats) / (FLEET_EVENTS + events)


def fleet_gain(before: tuple[float, float], events: float, nats: float, squares: float) -> float:
    """What heads may be expected to gain per event, from the sums of gains and of their squares: as in `expected`,
    shrunk towards what was thought `before`, with its standard deviation. Fewer than no events, as devices may say that
    tell of fewer than before, are none.

    >>> fleet_gain(HOPEFUL, 0, 0.0, 0.0), fleet_gain(HOPEFUL, 1000, -0.5, 1.0), fleet_gain(DOUBTFUL, 1000, 2.0, 1.0)
    (0.005, 6e-05, 0.00117)
    """
    events = max(events, 0.0)
    (mean, spread), n = before, max(events, 1)
    prior = max(squares / n - (nats / n) ** 2, _SPREAD**2) / spread**2
    return round((prior * mean + nats) / (prior + events), 5)
