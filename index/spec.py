"""The settings of a pool; they are stored in it, so that the command line can open it without being told."""

from typing import Self

import msgspec

from models.signature import KEY_DIM
from wire.errors import InputError

DAY_MS = 86_400_000


class PoolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One shard's window and graphs; match keys are `key_dim` wide.

    The window holds the newest `window_count` samples that are less than `window_age_ms` older (event time)
    than the newest. The `ring_rows` newest samples, or up to twice as many, are searched exactly, older ones in
    segments of `segment_rows`: per label, in an HNSW graph when more than `graph_nodes` vectors are distinct, by
    comparing every one of them until then; with segments of the default size that is always. `links`, `build_beam` and
    `search_beam` are M, efConstruction and ef of HNSW.

    Sources: links and build_beam from the design's measurements; graph_nodes (figures in `index.graph`), search_beam
    and ring_rows from benchmarks/pool.py (recall@800 over .99 on a real log); the window is one month of a small
    service.
    """

    key_dim: int = KEY_DIM
    window_age_ms: int = 30 * DAY_MS
    window_count: int = 200_000
    segment_rows: int = 25_000
    ring_rows: int = 1_000
    graph_nodes: int = 40_000
    links: int = 16
    build_beam: int = 100
    search_beam: int = 64

    @property
    def never_linked(self) -> bool:
        """Whether no segment can have so many distinct vectors that it gets a graph."""
        return self.segment_rows <= self.graph_nodes

    def checked(self) -> Self:
        """The spec itself; raises `InputError` when a setting makes no sense."""
        for name in self.__struct_fields__:
            if getattr(self, name) < 1:
                raise InputError(f"pool setting {name} is {getattr(self, name)}: give it a value of at least 1")
        return self
