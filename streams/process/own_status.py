"""This process's own status, from what it measured."""

from dataclasses import dataclass

from monitor.metrics import FRESHNESS_BUCKETS_S, Metrics
from streams.watch.heard import CPU
from wire.status import Frontier, Role, Status


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a process is: the same after a restart, but for `boot`, the wall clock at its start."""

    role: Role
    name: str
    boot: int

    def status(
        self,
        sequence: int,
        said_ms: int,
        metrics: Metrics,
        *,
        frontiers: tuple[Frontier, ...] = (),
        cpu_s: float = 0.0,
        ended: bool = False,
        warnings: tuple[str, ...] = (),
    ) -> Status:
        """What it says for the `sequence`th time, having measured these and computed for `cpu_s`."""
        return Status(
            role=self.role,
            name=self.name,
            boot=self.boot,
            sequence=sequence,
            said_ms=said_ms,
            ended=ended,
            values={**metrics.values(), CPU: {"": round(cpu_s, 3)}},
            age_bounds_s=FRESHNESS_BUCKETS_S,
            ages=metrics.ages(),
            frontiers=frontiers,
            warnings=warnings,
        )
