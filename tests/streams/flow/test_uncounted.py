"""Bytewax itself is asked: what it takes for counted after crashes, and what it begins with."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.operators import KeyedStream, StatefulLogic
from bytewax.recovery import RecoveryConfig
from bytewax.testing import TestingSink, TestingSource, run_main

from streams.flow.state import prepare_state
from streams.flow.uncounted import Progress, forget_uncounted, progress_of, resume_epoch


@pytest.fixture
def items() -> list[Any]:
    """A dataflow dies at each abort once."""
    return ["a1", "b2", TestingSource.ABORT(), "a3", "a4", TestingSource.ABORT(), "b5"]


class Seen(StatefulLogic[int, list[int], list[int]]):
    """What came of a key so far."""

    def __init__(self, seen: list[int] | None) -> None:
        self._seen = seen or []

    def on_item(self, value: int) -> tuple[list[list[int]], bool]:
        self._seen.append(value)
        return [list(self._seen)], self.RETAIN

    def snapshot(self) -> list[int]:
        return list(self._seen)


def run(folder: Path, items: list[Any]) -> list[list[int]]:
    """What a dataflow says until it dies or is through, with an epoch for each item."""
    found: list[list[int]] = []
    flow = Dataflow("flow")
    keyed: KeyedStream[int] = op.map("key", op.input("in", flow, TestingSource(items)), lambda x: (x[0], int(x[1:])))
    op.output("out", op.map("bare", op.stateful("seen", keyed, Seen), lambda each: each[1]), TestingSink(found))
    run_main(flow, epoch_interval=timedelta(0), recovery_config=RecoveryConfig(str(folder)))  # type: ignore[no-untyped-call]
    return found


def execute(folder: Path, statement: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(folder / "part-0.sqlite3")) as database, database:
        return database.execute(statement, values).fetchall()


@pytest.mark.parametrize("forgetting", [True, False])
def test_a_snapshot_that_was_not_counted_does_not_come_up_again(
    forgetting: bool, items: list[Any], tmp_path: Path
) -> None:
    prepare_state(tmp_path)
    assert run(tmp_path, items) == [[1], [2]]
    epoch = resume_epoch([progress_of(tmp_path)])
    execute(  # as a crash leaves it before the epoch is counted: with the state of another key, so that it shows
        tmp_path,
        "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) "
        "SELECT step_id, 'b', ?, ser_change FROM snaps WHERE state_key = 'a'",
        epoch,
    )
    forget_uncounted(tmp_path, epoch if forgetting else None)
    assert run(tmp_path, items) == [[1, 3], [1, 3, 4]]
    assert run(tmp_path, items)[-1] == ([2, 5] if forgetting else [1, 5])


def test_begins_where_bytewax_does(items: list[Any], tmp_path: Path) -> None:
    prepare_state(tmp_path)
    assert resume_epoch([progress_of(tmp_path)]) is None
    for _ in range(3):
        run(tmp_path, items)
        epoch = resume_epoch([progress_of(tmp_path)])
        assert forget_uncounted(tmp_path, epoch) <= 1, "but for the input's, of the epoch in which it died"
        ((began,),) = execute(tmp_path, "SELECT MAX(resume_epoch) FROM exs")
        assert epoch is not None and epoch > began
    run(tmp_path, items)
    assert execute(tmp_path, "SELECT MAX(resume_epoch) FROM exs") == [(epoch,)]


def test_a_worker_that_said_nothing_is_where_the_execution_began() -> None:
    assert resume_epoch([Progress([(3, 2, 40)], [(2, 0, 40), (2, 1, 40)])]) == 40
    assert resume_epoch([Progress([(3, 2, 40)], [(3, 0, 45)]), Progress([(3, 2, 40)], [(3, 1, 43)])]) == 43


def test_of_a_part_that_is_done_with_more_nothing_is_deleted(items: list[Any], tmp_path: Path) -> None:
    """Else a host that comes back with an old copy of its part would take what is newer from all others."""
    prepare_state(tmp_path)
    run(tmp_path, items)
    before = execute(tmp_path, "SELECT * FROM snaps")
    assert forget_uncounted(tmp_path, 1) == 0 and execute(tmp_path, "SELECT * FROM snaps") == before
