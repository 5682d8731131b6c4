"""What the watcher makes of processes that are started anew."""

import io
from typing import Any, cast

import msgspec

from monitor.state import State
from streams.demo.view import LiveView
from streams.demo.watcher import Watcher
from streams.watch.fold import Fold
from streams.watch.picture import Picture
from streams.watch.reader import StatusReader
from tests.streams.watch.statuses import frontier, pooled, status
from wire.status import Role, Status


class Unseen:
    def update(self, *_: Any) -> None:
        pass


class Script:
    """Stands for the reader: hears the next of these statuses, a second apart."""

    def __init__(self, said: list[Status]) -> None:
        self._said, self.fold = iter(said), Fold()

    def newest(self) -> Picture:
        said = next(self._said)
        self.fold.take(said, said.said_ms)
        return self.fold.picture(said.said_ms)


def states(*said: Status) -> list[State]:
    timeline = io.BytesIO()
    watcher = Watcher(reader=cast(StatusReader, Script(list(said))), timeline=timeline, view=cast(LiveView, Unseen()))
    shown = [watcher.look("live") for _ in said]
    assert watcher.heard(Role.FLOW) and not watcher.heard(Role.FLEET)
    assert [msgspec.json.decode(line, type=State) for line in timeline.getvalue().splitlines()] == shown
    return shown


def test_a_process_that_was_killed_counts_on_from_where_it_was() -> None:
    lives = [(1, 10), (1, 30), (2, 0), (2, 7), (3, 1)]
    shown = states(*(status(at_s=s, boot=boot, values=pooled(n)) for s, (boot, n) in enumerate(lives, 1)))
    assert [state.pooled for state in shown] == [10, 30, 30, 37, 38]


def test_a_process_that_was_started_anew_is_behind_until_it_says_otherwise() -> None:
    shown = states(
        status(at_s=1, boot=1, frontiers=(frontier("pooled", 0, 300, 0),)),
        status(at_s=2, boot=2),
        status(at_s=3, boot=2, frontiers=(frontier("pooled", 300, 300, 3),)),
    )
    assert [state.behind for state in shown] == [{"pooled": 300}] * 2 + [{"pooled": 0}]
