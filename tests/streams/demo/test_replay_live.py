"""How long the live part may take, with a replay made up for it."""

from pathlib import Path
from typing import cast

import pytest

from monitor.state import State
from streams.child import Child
from streams.demo import demo
from streams.demo.demo import DemoFailed, DemoRun
from streams.demo.plan import DemoSettings, Log
from streams.demo.watcher import Watcher


class Replay(Child):
    """Stands for `coda replay`: over after so many looks, or never."""

    looks = 0

    def __init__(self, over_after: float, folder: Path) -> None:
        super().__init__("live", [], folder)
        self._over_after = over_after

    def start(self) -> None:
        pass

    def code(self) -> int | None:
        self.looks += 1
        return 0 if self.looks > self._over_after else None

    def check(self) -> None:
        pass


class Watching:
    """Stands for the watcher: nothing ever changes."""

    def __init__(self) -> None:
        self.states, self.looked_again = [State()], 0

    def look(self, _phase: str, _note: str = "") -> State:
        return self.states[-1]

    def look_again(self, _phase: str, _note: str = "") -> State:
        self.looked_again += 1
        return self.states[-1]


def live(replay: Replay, seconds: int) -> Watching:
    watching = Watching()
    log = Log(Path("log.csv"), 10, 6, 3, 1, 2)
    children = {"live": replay, "canary": Replay(0, replay.log.parent)}
    DemoRun(DemoSettings(seconds=seconds), log, children, cast(Watcher, watching)).replay_live()
    return watching


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "EVERY_S", 0.0)
    monkeypatch.setattr(demo, "REPLAY_LIMIT_S", 0.0)


def test_the_limit_counts_from_when_the_live_part_should_be_over(tmp_path: Path) -> None:
    assert live(Replay(3, tmp_path), seconds=3600).looked_again == 1


def test_a_replay_that_never_ends_is_named(tmp_path: Path) -> None:
    with pytest.raises(DemoFailed, match="after 1 s still waiting for the live to be replayed"):
        live(Replay(float("inf"), tmp_path), seconds=1)
