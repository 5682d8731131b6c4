"""What all processes together look like at one moment: the one thing that every view shows."""

from typing import Any

import msgspec

from monitor.definition import Definition
from monitor.metrics import Metrics, pairs
from monitor.state import Freshness
from monitor.words import Word
from streams.base.names import STALE
from streams.evaluation.lineup import BASES
from wire.status import Role


class ProcessView(msgspec.Struct, frozen=True, kw_only=True):
    """One process; `silent_s` is how long it has said nothing, `cores` how much it computes.

    It `has_rival` if another process says that it is this one.
    """

    key: str
    role: Role
    name: str
    since_ms: int
    silent_s: float
    ended: bool
    cores: float | None
    warnings: tuple[str, ...] = ()
    has_rival: bool = False

    @property
    def up(self) -> bool:
        """Whether it is there, as far as can be told."""
        return not self.ended and self.silent_s == 0


class PartitionView(msgspec.Struct, frozen=True, kw_only=True):
    """One partition of what a stage reads; `age_s` is how old the moment is up to which it is done."""

    partition: int
    word: Word
    rule: str
    position: int
    behind: int
    age_s: float | None
    per_s: float
    left_s: float | None = None


class StageView(msgspec.Struct, frozen=True, kw_only=True):
    """One stage over all its partitions and processes.

    `local_s` is how far it lies behind the stage before, so its own fault; `global_s` how far what it has lies behind
    what was produced; `age_s` how old the moment is up to which it is done; `event_s` its lag in event time. None
    where that is not known.
    """

    stage: str
    word: Word
    rule: str
    behind: int
    per_s: float
    age_s: float | None
    local_s: float | None
    global_s: float | None
    event_s: float | None
    left_s: float | None = None
    ages: Freshness | None = None
    partitions: tuple[PartitionView, ...] = ()


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at `at_ms` (wall clock). `totals` and `per_s` by metric, then by labels; `cause` is a guess,
    and `remedy` what to do about it; "" for both where nothing seems wrong.

    `groups` are stages of groups of devices, such as `trained/new`; `refused` is how many messages were no status.
    """

    at_ms: int
    processes: tuple[ProcessView, ...]
    stages: tuple[StageView, ...]
    totals: dict[str, dict[str, float]]
    per_s: dict[str, float]
    groups: tuple[StageView, ...] = ()
    refused: int = 0
    cause: str = ""
    remedy: str = ""

    def stage(self, name: str) -> StageView | None:
        """The stage of this name, if anybody has said something of it."""
        return next((stage for stage in self.stages if stage.stage == name), None)

    def series(self, metric: Definition[Any]) -> dict[str, float]:
        """A metric by its labels."""
        return self.totals.get(metric.name, {})

    def total(self, metric: Definition[Any]) -> float:
        """A metric summed over its labels."""
        return sum(self.series(metric).values())

    @property
    def cloud(self) -> str:
        """What the arm "cloud" is called: the model that devices add to, if their fleet was told which."""
        return BASES.get(next(iter(self.by(Metrics.base, "base")), STALE), "cloud")

    def by(self, metric: Definition[Any], label: str, only: str = "") -> dict[str, float]:
        """A metric summed by one of its labels: of all its series, or of those with the pair `only`."""
        sums: dict[str, float] = {}
        for labels, value in self.series(metric).items():
            if not only or only in labels.split(","):
                part = pairs(labels).get(label, "")
                sums[part] = sums.get(part, 0.0) + value
        return sums

    def growth(self, metric: Definition[Any]) -> float:
        """By how much a metric grows per second."""
        return self.per_s.get(metric.name, 0.0)
