"""Watches a running system: what all processes say of themselves, about once a second, shown and kept."""

import time
from collections.abc import Callable
from typing import IO, Any

import msgspec

from monitor.definition import Definition
from monitor.histogram import Histogram
from monitor.state import State
from streams.demo.view import LiveView
from streams.watch.picture import Picture
from streams.watch.reader import StatusReader
from streams.watch.states import state_of
from wire.status import Role

EVERY_S = 1.0
_CATCH_UP_S = 10.0


class Watcher:
    """The states of one run so far, the newest last; `look` adds one.

    Every state goes to `timeline`, one JSON line each, and to `view`.
    """

    def __init__(
        self,
        *,
        reader: StatusReader,
        timeline: IO[bytes],
        view: LiveView,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.states: list[State] = []
        self.picture: Picture | None = None
        self._reader, self._view, self._timeline, self._clock = reader, view, timeline, clock
        self._started_s = clock()
        self._behind: dict[str, int] = {}

    def look(self, phase: str, note: str = "") -> State:
        """Read what has come, show it, keep it."""
        self.picture = self._reader.newest()
        state = state_of(self.picture, self.elapsed_s, phase)
        self._behind |= state.behind  # who was started anew and has not looked yet is as far as before
        state = msgspec.structs.replace(state, behind=dict(self._behind))
        self.states.append(state)
        self._timeline.write(msgspec.json.encode(state) + b"\n")
        self._view.update(state, note, self.picture)
        return state

    def look_again(self, phase: str, note: str = "") -> State:
        """`look` once everything was read that a process which just ended had said; raises `ConnectionFailed`."""
        self._reader.catch_up(_CATCH_UP_S)
        return self.look(phase, note)

    @property
    def elapsed_s(self) -> float:
        """How long the run has been going."""
        return self._clock() - self._started_s

    @property
    def passed(self) -> dict[str, Histogram]:
        """By stage, the ages of all that passed it so far."""
        return self._reader.fold.passed()

    def total(self, metric: Definition[Any], label: str) -> dict[str, float]:
        """A metric summed by one of its labels, as of the last look."""
        return self.picture.by(metric, label) if self.picture else {}

    def heard(self, role: Role) -> bool:
        """Whether a process of this role has said anything yet."""
        return self.picture is not None and any(process.role is role for process in self.picture.processes)
