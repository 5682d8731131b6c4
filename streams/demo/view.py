"""The demo's live view: what `coda watch` shows, with the phase of the run; plain lines where there is no terminal."""

import re
import sys
import textwrap
from collections import deque
from collections.abc import Sequence
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from monitor.state import State, events_per_s
from streams.times import span
from streams.watch.graph import COLOURS, graph
from streams.watch.picture import Picture
from streams.watch.views import OVERVIEW
from wire.reason import Reason

RATE_WINDOW = 5  # states over which a rate is taken; at one a second, five seconds
PLAIN_EVERY_S = 5.0  # where there is no terminal, a line this often
_WIDTH, _HEIGHT = 80, 24  # what the whole screen takes
_SMALL_WIDTH = 60
_NO_BREAK = "\N{NO-BREAK SPACE}"
_BETWEEN = " · "


class LiveView:
    """Shows each new state; a context manager, so that the terminal is given back whatever happens."""

    def __init__(self, title: str, phases: Sequence[str], console: Console | None = None) -> None:
        self._title, self._phases = title, phases
        self._console = console or Console(file=sys.stderr)
        self._recent: deque[State] = deque(maxlen=60)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._last_line = ("", -PLAIN_EVERY_S)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def update(self, state: State, note: str = "", picture: Picture | None = None) -> None:
        """Show `state` and the picture that it was made of; `note` says how far its phase is."""
        self._recent.append(state)
        if self._live:
            width, height = self._console.size
            shown = self._title, self._phases, list(self._recent), note
            large = width >= _WIDTH and height >= _HEIGHT
            self._live.update(screen(*shown, picture=picture) if large else small_screen(*shown), refresh=True)
        else:
            self._print_line(state, note)

    def say(self, line: str) -> None:
        """One line that stays, above the view."""
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)

    def _print_line(self, state: State, note: str) -> None:
        phase, printed_s = self._last_line
        if state.phase != phase or state.elapsed_s - printed_s >= PLAIN_EVERY_S:
            self._last_line = (state.phase, state.elapsed_s)
            self.say(plain_line(list(self._recent), note))


def rate(recent: Sequence[State]) -> float:
    """Events per second over the newest states."""
    window = recent[-RATE_WINDOW - 1 :]
    return events_per_s(window[0], window[-1])


def plain_line(recent: Sequence[State], note: str) -> str:
    """The newest state in one line, without what is not there yet."""
    s = recent[-1]
    parts = [f"{_clock(s.elapsed_s)} {s.phase}{f' {note}' if note else ''}"]
    if s.produced:
        parts += [
            f"{rate(recent):,.0f} events/s",
            f"{s.produced:,} produced {s.pooled:,} pooled {s.waiting:,} waiting {_rejected(s)}",
        ]
    if any(s.behind.values()):
        parts.append("behind " + " ".join(f"{stage} {n:,}" for stage, n in s.behind.items() if n))
    if s.freshness:
        parts.append("p99 " + " ".join(f"{stage} {span(f.p99_s)}" for stage, f in s.freshness.items()))
    if s.devices_connected:
        parts.append(f"{s.devices_connected:,} devices {sum(s.trainings.values()):,} trained v{s.model_version}")
    if s.arm_gauc:
        parts.append("GAUC " + " ".join(f"{_arm(arm, s)} {value:.3f}" for arm, value in s.arm_gauc.items()))
    return _BETWEEN.join(parts)


def _rejected(state: State) -> str:
    """What was not taken; what came twice, as when devices come back, was."""
    twice = state.rejected.get(Reason.DUPLICATE, 0)
    told = f"{sum(state.rejected.values()) - twice:,} rejected"
    return f"{told} {twice:,} came twice" if twice else told


def small_screen(title: str, phases: Sequence[str], recent: Sequence[State], note: str) -> RenderableType:
    """The newest state in at most 14 short lines, for a terminal of 60 columns by 15 rows."""
    state = recent[-1]
    at = list(phases).index(state.phase) + 1 if state.phase in phases else len(phases)
    _, *parts = plain_line(recent, note).split(_BETWEEN)
    told = [f"{title}  {_clock(state.elapsed_s)}", f"{at} of {len(phases)}: {state.phase} {note}".rstrip(), *parts]
    if state.pushes:
        told.append(f"{state.pushes:,} pushes, {state.pushes_outstanding:,} outstanding")
    return Text("\n".join(map(_wrapped, told)))


def _wrapped(words: str) -> str:
    """Words as lines of a small terminal, none of which ends between a number and its unit."""
    whole = re.sub(r"(?<=\d) (?=m?s\b)", _NO_BREAK, words)
    return textwrap.fill(whole, _SMALL_WIDTH).replace(_NO_BREAK, " ")


def screen(
    title: str,
    phases: Sequence[str],
    recent: Sequence[State],
    note: str,
    *,
    picture: Picture | None,
) -> RenderableType:
    """The newest state and picture as one screen of 80 columns by 24 rows: what `coda watch` shows, in its phase.

    In the last phase all processes have ended, as they should, and no stage is shown to be down.
    """
    state = recent[-1]
    first = Text.assemble((title, "bold"), "   ", (_clock(state.elapsed_s), "bold cyan"))
    first.truncate(_WIDTH)
    told: list[RenderableType] = [first, _phase_line(phases, state.phase, note)]
    if picture is not None and state.phase != phases[-1]:
        told += [graph(picture), _stages(picture)]
        told += [Text(f" likely cause: {picture.cause}", no_wrap=True, overflow="ellipsis")] if picture.cause else []
    return Group(*told, _devices(state), _arms(state), _pushes(state))


def _stages(picture: Picture) -> Table:
    """The overview of `coda watch`, but for the rules."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for at, name in enumerate(OVERVIEW.columns[:-1]):
        table.add_column(name, justify="left" if at < 2 else "right", no_wrap=True)
    for row in OVERVIEW.rows(picture):
        style = COLOURS[row.word] if row.word else ""
        table.add_row(*(Text(cell, style=style if cell == row.word else "") for cell in row.cells[:-1]))
    return table


def _phase_line(phases: Sequence[str], current: str, note: str) -> Text:
    line = Text()
    at = list(phases).index(current) if current in phases else len(phases)
    for i, phase in enumerate(phases):
        mark, style = ("✔ ", "green") if i < at else ("▶ ", "bold yellow") if i == at else ("○ ", "dim")
        words = f"{phase} {note}".rstrip() if i == at else phase
        line.append(f"{mark}{words}  ", style)
    return line


def _devices(state: State) -> Text:
    parts = [
        f"{state.devices_connected:,} devices" if state.devices_connected else "",
        f"cloud model v{state.model_version}" if state.model_version else "no cloud model yet",
        f"{state.predictions:,} predicted",
        f"{sum(state.trainings.values()):,} trainings",
        f"{state.pool_live:,} in the pool, {state.waiting:,} waiting",
    ]
    return Text(f" {_BETWEEN.join(filter(None, parts))}")


def _arm(arm: str, state: State) -> str:
    return state.cloud if arm == "cloud" else arm


def _arms(state: State) -> Text:
    """GAUC of each arm, and how far it is from that of the one that devices add to."""
    added_to = state.arm_gauc.get("cloud")
    parts = [
        f"{_arm(arm, state)} {gauc:.4f}" if arm == "cloud" or added_to is None else f"{arm} {gauc - added_to:+.4f}"
        for arm, gauc in state.arm_gauc.items()
    ]
    return Text(f" GAUC {'  '.join(parts) or 'of no arm yet'}")


def _pushes(state: State) -> Text:
    outcomes = " + ".join(f"{count:,} {name}" for name, count in state.push_outcomes.items()) or "0"
    batches = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in state.batches.items()) or "none yet"
    return Text.assemble(
        (" pushes ", "bold"),
        f"{state.pushes:,} = {outcomes} + {state.pushes_outstanding:,} outstanding",
        ("\n batches at devices: ", "dim"),
        batches,
    )


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"
