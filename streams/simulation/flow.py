"""The dataflow of a simulation: what `build_flow` builds, under our own scheduler, over pools on a simulated disk."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bytewax.dataflow import Dataflow

from index.owner import Owner
from index.pool import Pool, Upserted
from index.spec import PoolSpec
from index.store import Store
from models.cloud_model import CloudModel
from models.sample import SampleBlock
from monitor.metrics import Metrics
from operators.placement import shards_of
from streams.bus import Partition
from streams.flow.blame import Blame
from streams.flow.dataflow import build_flow
from streams.flow.model_feed import ModelFeed
from streams.flow.pool_shards import PoolShards
from streams.flow.restart import Restart
from streams.flow.settings import FlowSettings
from streams.flow.shard_states import ShardStates
from streams.flow.shards import Shards
from streams.flow.sink import KafkaOutput
from streams.flow.source import KafkaInput, Reader
from streams.flow.state_shards import StateShards
from streams.kafka.topics import EVENTS, REQUESTS
from streams.simulation.bus import SimulatedBus
from streams.simulation.engine import Engine
from streams.simulation.memory_db import Batch, Disk
from streams.simulation.snapshots import Snapshots
from streams.simulation.timeline import VirtualClock
from streams.simulation.trainer import PUBLIC
from wire.errors import ConnectionFailed

Note = Callable[[str], object]


def opened(disk: Disk, name: str, spec: PoolSpec, read_only: bool = False) -> Store:
    """A pool's store on a simulated disk."""
    database: Any = disk.open(name)
    batch: Any = Batch
    return Store.over(database, Path(name), spec, read_only=read_only, batch=batch)


class SlowPool(Pool):
    """Takes many steps to a new model for the few samples of a simulation; says what it hit meanwhile."""

    slice_rows = 4

    def __init__(self, store: Store, note: Note) -> None:
        super().__init__(store)
        self._note = note

    def upsert(self, block: SampleBlock) -> Upserted:
        """Add encoded samples."""
        result = super().upsert(block)
        if self.in_shadow and result.inserted.any():
            self._note("a sample came while its pool was between two models")
        return result


class SimulatedShards(PoolShards):
    """Pools in the databases of a simulated disk; `note` hears of what happens seldom."""

    def __init__(self, disk: Disk, shards: int, spec: PoolSpec, note: Note) -> None:
        Shards.__init__(self)  # and no folder is made
        self._disk, self._shards, self._spec, self._note = disk, shards, spec, note

    def pool(self, shard: int) -> Pool:
        """The pool of one shard."""
        if shard not in self._open:
            name = f"shard-{shard}-of-{self._shards}"
            self._open[shard] = SlowPool(opened(self._disk, name, self._spec), self._note)
        return self._open[shard]


class SimulatedStates(StateShards):
    """States in the databases of a simulated disk."""

    def __init__(self, disk: Disk, shards: int) -> None:
        Shards.__init__(self)
        self._disk, self._shards, self.state = disk, shards, "simulated"

    def _opened(self, name: str, owner: Owner) -> ShardStates:
        database: Any = self._disk.open(name)
        batch: Any = Batch
        return ShardStates(Path(name), database, owner, batch)


class Flow:
    """One run of all of the dataflow's processes, which die together; `stopped` workers stand still."""

    def __init__(
        self,
        bus: SimulatedBus,
        clock: VirtualClock,
        metrics: Metrics,
        settings: FlowSettings,
        *,
        disk: Disk,
        snapshots: Snapshots,
        stopped: set[int],
        note: Note,
    ) -> None:
        self._bus, self._clock, self._settings, self._snapshots = bus, clock, settings, snapshots
        self._metrics, self._stopped, self._note = metrics, stopped, note
        self.begun_anew = False  # in good order
        self.pools = [
            SimulatedShards(disk, settings.shards, settings.pool_spec, note) for _ in range(settings.processes)
        ]
        self._states = [SimulatedStates(disk, settings.shards) for _ in range(settings.processes)]
        self.engine = self._begun()

    def step(self) -> None:
        """Let every worker do what it has to do; all begin anew when their clock was set back, as they do live."""
        for number in range(len(self.engine.workers)):
            if number not in self._stopped:
                self.engine.step(number)
        if self.engine.ended:
            self.engine.close()
            self.engine = self._begun()
            self.begun_anew = True

    def kill(self) -> None:
        """All processes are gone."""
        if any(pool.in_shadow for pool in self.live()):
            self._note("a dataflow died while a pool was between two models")
        self._bus.kill()

    def live(self) -> Sequence[Pool]:
        """All pools that are open."""
        return [pool for shards in self.pools for pool in shards._open.values()]

    def _begun(self) -> Engine:
        """All processes, from the last snapshot on."""
        restart = Restart(_SamePartitions(), self._clock)
        flows = [self._process(number, pools, restart) for number, pools in enumerate(self.pools)]
        clock, epoch_ms = self._clock, self._settings.epoch_ms
        return Engine(flows, self._snapshots, epoch_ms, now=clock.now, steady_ms=clock.steady_ms)

    def _process(self, number: int, pools: SimulatedShards, restart: Restart) -> Dataflow:
        """As `streams.flow.process` puts it together."""
        bus, blame, settings = self._bus, Blame(), self._settings
        mine = shards_of(number, settings.processes, settings.shards)
        feed = ModelFeed(bus, self._clock, self._metrics, [pools.pool(shard).model for shard in mine], PUBLIC)
        partitions = [partition for topic in (EVENTS, REQUESTS) for partition in bus.bounds(topic)]
        reader = Reader(bus, blame, self._clock, _rest)
        source = KafkaInput(reader, partitions, ready=lambda: feed.current() is not None, stopping=restart.due)
        sink = KafkaOutput(bus, number, blame)
        return build_flow(
            settings,
            source,
            sink,
            pools,
            self._states[number],
            clock=self._clock,
            metrics=self._metrics,
            model=lambda: _first(feed),
            blame=blame,
            held_up=source.epoch_ends,
        )


class _SamePartitions:
    """Topics to which nobody adds partitions."""

    def added(self) -> list[Partition]:
        """None ever."""
        return []


def _rest(_seconds: float) -> None:
    """Time passes between steps."""


def _first(feed: ModelFeed) -> CloudModel:
    model = feed.current()
    if model is None:
        raise ConnectionFailed("work came from another process, but no cloud model")
    return model
