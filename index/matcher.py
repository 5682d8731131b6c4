"""Matchers: what to retrieve for a user. Add one by writing a class with `match` and a name."""

from dataclasses import dataclass
from typing import Protocol

from index.matches import Matches
from index.pool import Upserted
from index.scored import Scored
from models.sample import SampleBlock
from wire.arrays import F32, I64, U64
from wire.candidates import Candidates
from wire.identity import ModelId


class SamplePool(Protocol):
    """What every pool can do; `index.pool.Pool` says what is promised."""

    @property
    def model(self) -> ModelId:
        """The cloud model of its vectors."""
        ...

    def __len__(self) -> int: ...

    def upsert(self, block: SampleBlock) -> Upserted:
        """Add encoded samples."""
        ...

    def search(self, match_keys: F32, user: U64, before_ms: I64, k_per_label: int) -> Matches:
        """The most similar samples for each query."""
        ...

    def sample_random(self, user: U64, before_ms: I64, k_per_label: int, seed: int) -> Matches:
        """Random samples for each query."""
        ...

    def scored(self, matches: Matches) -> list[Scored]:
        """What each query found, with scores."""
        ...

    def candidates(self, matches: Matches) -> list[Candidates]:
        """What each query found."""
        ...


class Matcher(Protocol):
    """Finds up to `k_per_label` samples of each label for q queries, under the pool's limits."""

    @property
    def name(self) -> str:
        """What it is called in settings and reports."""
        ...

    def match(self, pool: SamplePool, match_keys: F32, user: U64, before_ms: I64, k_per_label: int) -> Matches:
        """Match keys (q, d), askers (q,), event times (q,)."""
        ...


@dataclass(frozen=True)
class Nearest:
    """The most similar samples."""

    name: str = "nearest"

    def match(self, pool: SamplePool, match_keys: F32, user: U64, before_ms: I64, k_per_label: int) -> Matches:
        """Those whose match keys have the highest inner product with the query's."""
        return pool.search(match_keys, user, before_ms, k_per_label)


@dataclass(frozen=True)
class Random:
    """As many random samples, for comparison."""

    seed: int = 0
    name: str = "random"

    def match(self, pool: SamplePool, match_keys: F32, user: U64, before_ms: I64, k_per_label: int) -> Matches:  # noqa: ARG002
        """The same for the same asker, time and seed, however the pool is sharded."""
        return pool.sample_random(user, before_ms, k_per_label, self.seed)
