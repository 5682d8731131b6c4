"""When a run counts as drained, on states made up for it."""

from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import cast

import msgspec
import pytest

from monitor.state import State
from streams.child import Child, ChildFailed
from streams.demo import demo
from streams.demo.demo import CALM_LOOKS, UNANSWERED_LOOKS, DemoRun
from streams.demo.plan import DemoSettings, Log
from streams.demo.watcher import Watcher
from tests.integration.stack import wait_until

QUIET = State(produced=10, pooled=10, pushes=4, push_outcomes={"acknowledged": 4}, behind={"pooled": 0})
BEHIND = msgspec.structs.replace(QUIET, pooled=9, behind={"pooled": 1})
UNANSWERED = msgspec.structs.replace(QUIET, push_outcomes={"acknowledged": 3}, pushes_outstanding=1)


class Script:
    """Stands for the watcher: shows these states one after the other, the last one for ever."""

    def __init__(self, shown: Iterable[State]) -> None:
        shown = list(shown)
        self._next: Iterator[State] = chain(shown, repeat(shown[-1]))
        self.states: list[State] = []

    def look(self, phase: str, _note: str = "") -> State:
        self.states.append(msgspec.structs.replace(next(self._next), phase=phase, elapsed_s=float(len(self.states))))
        return self.states[-1]


def drained(shown: Iterable[State], children: dict[str, Child] | None = None) -> DemoRun:
    log = Log(Path("log.csv"), 10, 6, 3, 1, 2)
    run = DemoRun(DemoSettings(), log, children or {}, cast(Watcher, Script(shown)))
    run.drain()
    return run


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "EVERY_S", 0.0)
    monkeypatch.setattr(demo, "DRAIN_LIMIT_S", 0.5)


def test_a_system_where_nothing_changes_and_nothing_waits_is_drained() -> None:
    run = drained([BEHIND, BEHIND, QUIET])
    assert run.problems == []
    assert len(run.watcher.states) == 2 + CALM_LOOKS + 1


def test_every_change_starts_the_wait_anew() -> None:
    run = drained([QUIET, QUIET, msgspec.structs.replace(QUIET, trainings={"accepted": 1})])
    assert len(run.watcher.states) == 2 + CALM_LOOKS + 1


def test_an_unanswered_push_is_waited_for_longer_but_not_for_ever() -> None:
    run = drained([UNANSWERED])
    assert run.problems == []
    assert len(run.watcher.states) == UNANSWERED_LOOKS + 1


def test_a_lag_that_never_ends_is_a_problem_that_is_named(tmp_path: Path) -> None:
    run = drained([BEHIND], {"flow": Child("flow", [], tmp_path)})
    (problem,) = run.problems
    assert "still waiting for the system to drain" in problem
    assert "pooled is 1 behind" in problem
    assert str(tmp_path) in problem


def test_a_child_that_died_meanwhile_ends_the_wait(tmp_path: Path) -> None:
    dead = Child("flow", ["no-such-command"], tmp_path)
    dead.start()
    wait_until(lambda: dead.code() is not None, "its end", 20)
    dead.stop(20)
    with pytest.raises(ChildFailed, match="flow ended with exit code"):
        drained([QUIET], {"flow": dead})
