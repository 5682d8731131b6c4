"""Where it is said which populations a fleet's devices are of: known from the beginning, or in a file that changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from streams.faults.whose import Devices
from streams.population.population import Population
from streams.population.table import population
from wire.errors import InputError

if TYPE_CHECKING:
    from device_sim.fleet import Fleet

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class InForce:
    """A population, and when it began (wall clock)."""

    population: Population
    since_ms: int

    def at_s(self, now_ms: int) -> float:
        """The population's time."""
        return (now_ms - self.since_ms) / 1000


def begun(table: Mapping[str, object], where: str, seed: int, now_ms: int) -> InForce:
    """A population that begins now, or at last midnight (UTC) where its days are ours; raises `InputError`."""
    days = "day" not in table and "starts" not in table
    return InForce(population(table, where, seed), now_ms - now_ms % _DAY_MS if days else now_ms)


class Orders(Protocol):
    """Where it is said which populations there are."""

    def look(self, fleet: "Fleet", now_ms: int) -> Sequence[InForce]:
        """Those that are in force now; `fleet` is as those made it that were in force until now."""


class Standing:
    """Populations that were known from the beginning."""

    def __init__(self, populations: Sequence[InForce]) -> None:
        self._populations = populations

    def look(self, fleet: "Fleet", now_ms: int) -> Sequence[InForce]:  # noqa: ARG002
        """All of them."""
        return self._populations


EVERYONE = Standing(())


class Ordered(msgspec.Struct, frozen=True):
    """One population of a file of orders: its table, whose devices of the circle, and since when."""

    table: dict[str, object]
    members: tuple[float, float]
    seed: int
    since_ms: int


class OrderFile:
    """Populations in a file that another process writes while we run; none while there is no file."""

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, b""
        self._populations: list[InForce] = []

    def look(self, fleet: "Fleet", now_ms: int) -> Sequence[InForce]:  # noqa: ARG002
        """What the file says now; raises `InputError` when it says nothing that can be understood."""
        raw = self._path.read_bytes() if self._path.exists() else b""
        if raw != self._read:
            self._read, self._populations = raw, [self._of(each) for each in self._orders(raw)]
        return self._populations

    def _orders(self, raw: bytes) -> list[Ordered]:
        try:
            return msgspec.json.decode(raw, type=list[Ordered]) if raw else []
        except msgspec.DecodeError as error:
            raise InputError(f"{self._path}: no orders: {error}") from error

    def _of(self, each: Ordered) -> InForce:
        members = Devices(*each.members, each.seed)
        return InForce(population(each.table, str(self._path), each.seed, members), each.since_ms)
