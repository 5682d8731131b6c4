"""Watches a running system: reads every process's metrics about once a second, shows them and keeps them."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import IO

import msgspec

from monitor.live import LiveView
from monitor.scrape import Series, Snapshot, scrape, together
from monitor.state import State, read_state
from streams.watch.recording import Recorder

EVERY_S = 1.0
FRESHNESS_WINDOW = 5  # looks back that a shown freshness covers; at one a second, five seconds
_LOOK_TIMEOUT_S = 2.0
_BORN = "process_start_time_seconds"


class Watcher:
    """The states of one run so far, the newest last; `look` adds one.

    `urls` are the metrics of each process by name. Every state goes to `timeline`, one JSON line each, and to `view`;
    `statuses` records what the processes say of themselves.
    """

    def __init__(
        self,
        *,
        urls: Mapping[str, str],
        timeline: IO[bytes],
        view: LiveView,
        statuses: Recorder | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.states: list[State] = []
        self._statuses = statuses
        self._urls, self._view, self._timeline, self._clock = dict(urls), view, timeline, clock
        self._started_s = clock()
        self._seen: dict[str, Snapshot] = {}
        self._raw: dict[str, Snapshot] = {}
        self._lived: dict[str, Snapshot] = {}
        self._recent: deque[Snapshot] = deque([Snapshot()], maxlen=FRESHNESS_WINDOW + 1)
        self._behind: dict[str, int] = {}

    @property
    def snapshot(self) -> Snapshot:
        """All processes together, as last seen."""
        return self._recent[-1]

    def look(self, phase: str, note: str = "") -> State:
        """Read everything once, show it, keep it."""
        for name, url in list(self._urls.items()):
            try:
                self._see(name, scrape(url, _LOOK_TIMEOUT_S))
            except OSError:
                continue  # not up yet, or done: what it showed last still counts
        self._recent.append(together(self._seen.values()))
        state = read_state(self._recent[-1], self._recent[0], self.elapsed_s, phase)
        self._behind |= state.lag_events  # who was started anew and has not looked yet is as far as before
        state = msgspec.structs.replace(state, lag_events=dict(self._behind))
        self.states.append(state)
        self._timeline.write(msgspec.json.encode(state) + b"\n")
        if self._statuses is not None:
            self._statuses.step()
        self._view.update(state, note)
        return state

    @property
    def elapsed_s(self) -> float:
        """How long the run has been going."""
        return self._clock() - self._started_s

    def _see(self, name: str, now: Snapshot) -> None:
        """Take in what a process shows; one that was started anew counts from zero, and we go on from where it was."""
        before = self._raw.get(name)
        if before is not None and before.total(_BORN) != now.total(_BORN):
            self._lived[name] = together([self._lived.get(name, Snapshot()), before.counts()])
        self._raw[name] = now
        self._seen[name] = together([self._lived[name], now]) if name in self._lived else now

    def ended(self, name: str, values: Mapping[Series, float]) -> None:
        """The process `name` is over, and these were its last values: it ended between two looks."""
        self._urls.pop(name, None)
        seen = self._seen.get(name, Snapshot())
        self._seen[name] = Snapshot({**seen.values, **values}, seen.histograms)

    def ready(self, name: str) -> bool:
        """Whether the process `name` has shown any metrics yet."""
        return name in self._seen
