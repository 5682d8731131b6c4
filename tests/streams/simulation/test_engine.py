"""Bytewax and our own scheduler give the same outputs for the same inputs, snapshots and restores included."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.inputs import AbortExecution, FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.simulation.engine import Engine
from streams.simulation.snapshots import Snapshots

LONG_AGO = datetime.fromtimestamp(0, UTC)
Batch = list[tuple[str, int]]


class Listed(FixedPartitionedSource[Any, int]):
    """Batches by part, one after the other; the process dies after so many of them, if it does."""

    def __init__(self, batches: dict[str, list[Batch]], dies_after: int | None) -> None:
        self.batches, self.left = batches, dies_after

    def list_parts(self) -> list[str]:
        return list(self.batches)

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "ListedPart":  # noqa: ARG002
        return ListedPart(self, self.batches[for_part], resume_state or 0)


class ListedPart(StatefulSourcePartition[Any, int]):
    def __init__(self, source: Listed, batches: list[Batch], at: int) -> None:
        self.source, self.batches, self.at = source, batches, at

    def next_batch(self) -> Batch:
        if self.source.left == 0:
            raise AbortExecution
        if self.at == len(self.batches):
            raise StopIteration
        if self.source.left is not None:
            self.source.left -= 1
        self.at += 1
        return self.batches[self.at - 1]

    def snapshot(self) -> int:
        return self.at


class Collected(FixedPartitionedSink[Any, int]):
    """What came out; what of it an epoch ended after is `safe`."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.safe = 0

    def list_parts(self) -> list[str]:
        return ["all"]

    def part_fn(self, item_key: str) -> int:  # noqa: ARG002
        return 0

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "CollectedPart":  # noqa: ARG002
        return CollectedPart(self)


class CollectedPart(StatefulSinkPartition[Any, int]):
    def __init__(self, sink: Collected) -> None:
        self.sink = sink

    def write_batch(self, values: list[Any]) -> None:
        self.sink.got += values

    def snapshot(self) -> int:
        self.sink.safe = len(self.sink.got)
        return 0


@dataclass
class Sums(StatefulBatchLogic[int, int, int]):
    """Sums up; forgets the key at every multiple of seven, and speaks once more when it is woken after one of five."""

    total: int
    woken: bool = field(default=True)

    def on_batch(self, values: list[int]) -> tuple[Iterable[int], bool]:
        out = []
        for value in values:
            self.total += value
            out.append(self.total)
        self.woken = self.total % 5 != 0
        return out, self.total % 7 == 0

    def on_notify(self) -> tuple[Iterable[int], bool]:
        self.woken = True
        return [-self.total], False

    def notify_at(self) -> datetime | None:
        return None if self.woken else LONG_AGO

    def snapshot(self) -> int:
        return self.total


def flow(source: Listed, sink: Collected) -> Dataflow:
    """All core operators, and some that are made of them."""
    made = Dataflow("both")
    messages = op.input("in", made, source)
    odd = op.filter("odd", messages, lambda item: item[1] % 2 == 1)
    twice = op.flat_map_batch("twice", messages, lambda items: [(key, 2 * value) for key, value in items])
    sums = op.stateful_batch("sums", op.merge("both", odd, twice), lambda state: Sums(state or 0))
    again = op.stateful_batch("again", op.map("swap", sums, lambda kv: (str(kv[1] % 3), kv[1])), lambda s: Sums(s or 1))
    tagged = op.map("tag", op.merge("end", sums, again), lambda item: ("all", item))
    op.output("out", tagged, sink)
    return made


def by_bytewax(made: Dataflow, state: Path) -> None:
    cluster_main(made, [], 0, epoch_interval=timedelta(0), recovery_config=RecoveryConfig(str(state)))  # type: ignore[no-untyped-call]


def by_engine(made: Callable[[], Dataflow], snapshots: Snapshots, workers: int = 1) -> None:
    flows = [made() for _ in range(workers)]
    engine = Engine(flows, snapshots, 0, now=lambda: datetime.now(UTC), steady_ms=lambda: 0)
    try:
        while not engine.ended:
            for number in range(workers):
                engine.step(number)
    except AbortExecution:
        pass


def per_key(items: list[Any]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for key, value in items:
        found.setdefault(key, []).append(value)
    return found


batches = st.lists(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 9)), max_size=5), max_size=6)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches, st.integers(0, 6))
def test_the_engine_gives_what_bytewax_gives_after_a_crash_too(
    tmp_path_factory: pytest.TempPathFactory, batches: list[Batch], dies_after: int
) -> None:
    state = tmp_path_factory.mktemp("state")
    init_db_dir(state, 1)  # type: ignore[no-untyped-call]
    snapshots = Snapshots()
    for left in (dies_after, None):
        theirs, ours = Collected(), Collected()
        by_bytewax(flow(Listed({"p": batches}, left), theirs), state)
        by_engine(lambda left=left, ours=ours: flow(Listed({"p": batches}, left), ours), snapshots)  # type: ignore[misc]
        assert per_key(ours.got[: ours.safe]) == per_key(theirs.got[: theirs.safe])
