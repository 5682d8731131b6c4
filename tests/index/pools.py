"""The pools that every promise is checked on."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from index.exact import ExactPool
from index.matcher import SamplePool
from index.pool import Pool, Upserted
from index.spec import PoolSpec
from models.sample import SampleBlock
from tests.index.samples import KEY_DIM


class AnyPool(SamplePool, Protocol):
    def reencode(self, encode: Callable[[SampleBlock], SampleBlock]) -> None: ...


class ReopenedPool(Pool):
    """Forgets everything in memory after each upsert."""

    def upsert(self, block: SampleBlock) -> Upserted:
        result = super().upsert(block)
        path, spec = self.store.path, self.spec
        self.close()
        self.__dict__.update(Pool.open(path, spec).__dict__)
        return result


class RebuiltPool(Pool):
    """Puts everything but the ring into graphs after each upsert."""

    def upsert(self, block: SampleBlock) -> Upserted:
        result = super().upsert(block)
        self.rebuild()
        return result


def small(window_count: int = 1000, window_age_ms: int = 1_000_000, **settings: int) -> PoolSpec:
    """A spec whose graphs hold so few rows that each is searched whole, and segments come and go."""
    graphs = {"segment_rows": 16, "ring_rows": 4, "graph_nodes": 2} | settings
    return PoolSpec(key_dim=KEY_DIM, window_count=window_count, window_age_ms=window_age_ms, **graphs)


Maker = Callable[[Path, PoolSpec], AnyPool]
MAKERS: dict[str, Maker] = {
    "pool": Pool.open,
    "reopened": ReopenedPool.open,
    "rebuilt": RebuiltPool.open,
    "compared": lambda path, spec: ReopenedPool.open(path, replace(spec, graph_nodes=spec.segment_rows)),
    "exact": lambda _path, spec: ExactPool(spec),
}
