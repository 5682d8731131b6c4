"""How well each head does over the whole fleet, from what devices report: the prior of their blends."""

from collections.abc import Mapping

from models.blend import HEADS, fleet_prior
from models.telemetry import Training

# A new task is worth it once a head's log-weight moved so far, in nats: the blends of devices with few events of their
# own live by the prior. Below LEAST it no longer matters: the prior's floor (`models.blend.UNIFORM_SHARE`) is above it.
NOTABLE, LEAST = 0.5, -8.0


class FleetLosses:
    """Log-losses summed over devices, per head. Only reports with all heads count, so that sums stay comparable.

    >>> losses = FleetLosses()
    >>> losses.prior()
    {}
    """

    def __init__(self) -> None:
        self._total: dict[str, float] = {}
        self.events = 0

    def add(self, report: Training) -> None:
        """Take in one device's sums since its last report."""
        if report.events and set(HEADS) <= report.head_log_loss.keys():
            self.events += report.events
            for head in HEADS:
                self._total[head] = self._total.get(head, 0.0) + report.head_log_loss[head]

    def prior(self) -> dict[str, float]:
        """Log-weights for the next task, rounded so that noise makes no new task; {} before any report."""
        return {head: max(LEAST, round(weight, 2)) for head, weight in fleet_prior(self._total, self.events).items()}

    def moved(self, prior: Mapping[str, float]) -> bool:
        """Whether devices that have `prior` should hear of the one that is known by now."""
        return any(abs(weight - prior.get(head, 0.0)) >= NOTABLE for head, weight in self.prior().items())
