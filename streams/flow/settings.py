"""What the dataflow can be told; light to import, for those that only start it."""

from itertools import count
from pathlib import Path

import msgspec

from index.spec import DAY_MS, PoolSpec
from operators.placement import EVENLY, shards_of
from operators.residents import Stay
from operators.user import MatchRules
from streams.kafka.connection import KafkaSettings
from streams.kafka.properties import read_properties
from wire.errors import InputError

LINGER_MS = 25  # for others to share a pass with, which costs a few ms: of the 50 ms in which all is to be pooled, half


class FlowSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that `coda flow` can be told; its processes get it as JSON. Its help says what each means.

    `processes` are those of all `hosts` together.
    """

    bootstrap: str
    pool: str
    state: str
    cloud_key: str = ""
    kafka_config: str = ""
    shards: int = 1
    processes: int = 1
    hosts: int = 1
    match_every: int = 20
    candidates: int = 1600
    random: bool = True
    freshness_budget_s: float = 600
    lateness_s: float = 3600
    window_days: float = 30
    window_count: int = 200_000
    min_users: int = 1
    users: int = 1_000_000
    user_days: float = 400
    epoch_ms: int = 1000
    linger_ms: int = LINGER_MS
    metrics_port: int = 0
    seed: int = 0

    def checked(self) -> "FlowSettings":
        """The settings themselves; raises `InputError` when they do not go together."""
        if self.processes > self.shards:
            on_hosts = f" on {self.hosts} hosts" if self.hosts > 1 else ""
            raise InputError(
                f"--processes {self.processes_per_host}{on_hosts} with --shards {self.shards} leaves a process "
                f"without a shard: give --shards {self.processes} or more"
            )
        if self.window_count < self.shards:
            raise InputError(
                f"--pool-count {self.window_count} with --shards {self.shards} leaves a shard without a sample: give "
                f"--pool-count {self.shards} or more"
            )
        if not self._spread(self.shards):
            fewer = next(n for n in range(self.processes, 0, -1) if EVENLY % n == 0)
            more = next(filter(self._spread, count(self.shards)))
            raise InputError(
                f"{self.processes} processes and --shards {self.shards}: a hash says where shards lie, and one process "
                f"would have none. Give {fewer} processes in all or, with a new --pool, --shards {more}"
            )
        return self

    def _spread(self, shards: int) -> bool:
        """Whether every process has one of so many shards."""
        return all(shards_of(process, self.processes, shards) for process in range(self.processes))

    @property
    def processes_per_host(self) -> int:
        """As many on each host."""
        return self.processes // self.hosts

    @property
    def kafka(self) -> KafkaSettings:
        """Where Kafka is; raises `InputError`."""
        config = Path(self.kafka_config) if self.kafka_config else None
        return KafkaSettings(self.bootstrap, properties=read_properties(config))

    @property
    def rules(self) -> MatchRules:
        """When users are due."""
        return MatchRules(self.match_every, round(self.freshness_budget_s * 1000), round(self.lateness_s * 1000))

    @property
    def stay(self) -> Stay:
        """How long one shard keeps users; never so short that their events of the allowed lateness come twice."""
        idle_ms = max(self.rules.lateness_ms, round(self.user_days * DAY_MS))
        return Stay(most=-(-self.users // self.shards), idle_ms=idle_ms)

    @property
    def pool_spec(self) -> PoolSpec:
        """One shard's window: all shards together hold `window_count` samples at most."""
        return PoolSpec(window_age_ms=round(self.window_days * DAY_MS), window_count=self.window_count // self.shards)
