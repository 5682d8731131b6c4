"""The live view: the whole system on one screen of a terminal, plain lines where there is no terminal."""

import sys
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from monitor.spark import spark
from monitor.stages import STAGES
from monitor.state import State, events_per_s

RATE_WINDOW = 5  # states over which a rate is taken; at one a second, five seconds
PLAIN_EVERY_S = 5.0  # where there is no terminal, a line this often
_WIDTH, _HEIGHT = 80, 24  # what the whole screen takes
_BETWEEN = " · "


class LiveView:
    """Shows each new state; a context manager, so that the terminal is given back whatever happens."""

    def __init__(self, title: str, phases: Sequence[str], console: Console | None = None) -> None:
        self._title, self._phases = title, phases
        self._console = console or Console(file=sys.stderr)
        self._recent: deque[State] = deque(maxlen=60)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._note = ""
        self._last_line = ("", -PLAIN_EVERY_S)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def update(self, state: State, note: str = "") -> None:
        """Show `state`; `note` says how far its phase is."""
        self._recent.append(state)
        self._note = note
        if self._live:
            width, height = self._console.size
            draw = screen if width >= _WIDTH and height >= _HEIGHT else small_screen
            self._live.update(draw(self._title, self._phases, list(self._recent), note), refresh=True)
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
            f"{s.produced:,} produced {s.pooled:,} pooled {s.waiting:,} waiting {_sum(s.rejected):,} rejected",
        ]
    if any(s.behind.values()):
        parts.append("behind " + " ".join(f"{stage} {n:,}" for stage, n in s.behind.items() if n))
    if s.freshness:
        parts.append("p99 " + " ".join(f"{stage} {_seconds(f.p99_s)}" for stage, f in s.freshness.items()))
    if s.devices_connected:
        parts.append(f"{s.devices_connected:,} devices {_sum(s.trainings):,} trained v{s.model_version}")
    if s.arm_gauc:
        parts.append("GAUC " + " ".join(f"{arm} {value:.3f}" for arm, value in s.arm_gauc.items()))
    return _BETWEEN.join(parts)


def small_screen(title: str, phases: Sequence[str], recent: Sequence[State], note: str) -> RenderableType:
    """The newest state in at most 14 short lines, for a terminal of 60 columns by 15 rows."""
    state = recent[-1]
    at = list(phases).index(state.phase) + 1 if state.phase in phases else len(phases)
    _, *parts = plain_line(recent, note).split(_BETWEEN)
    told = [f"{title}  {_clock(state.elapsed_s)}", f"{at} of {len(phases)}: {state.phase} {note}".rstrip(), *parts]
    if state.pushes:
        told.append(f"{state.pushes:,} pushes, {state.pushes_outstanding:,} outstanding")
    return Text("\n".join(told))


def screen(title: str, phases: Sequence[str], recent: Sequence[State], note: str) -> RenderableType:
    """The newest state as one screen, about 80 columns by 24 rows."""
    state = recent[-1]
    top = Table.grid(expand=True, padding=(0, 1))
    for ratio in (5, 6):
        top.add_column(ratio=ratio)
    top.add_row(_panel("stream", _stream(recent)), _panel("freshness since produced", _freshness(state)))
    top.add_row(_panel("devices", _devices(state)), _panel("arms, on the same events", _arms(state)))
    head = Text.assemble((title, "bold"), "   ", (_clock(state.elapsed_s), "bold cyan"))
    return Group(head, _phase_line(phases, state.phase, note), top, _pushes(state))


def _panel(title: str, body: RenderableType) -> Panel:
    return Panel(body, title=f"[bold]{title}", title_align="left", border_style="dim", height=9)


def _phase_line(phases: Sequence[str], current: str, note: str) -> Text:
    line = Text()
    at = list(phases).index(current) if current in phases else len(phases)
    for i, phase in enumerate(phases):
        mark, style = ("✔ ", "green") if i < at else ("▶ ", "bold yellow") if i == at else ("○ ", "dim")
        words = f"{phase} {note}".rstrip() if i == at else phase
        line.append(f"{mark}{words}  ", style)
    return line


def _rows(pairs: Mapping[str, str]) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(style="dim", no_wrap=True, min_width=max(map(len, pairs)))
    table.add_column(justify="right", no_wrap=True, ratio=1)
    for name, value in pairs.items():
        table.add_row(name, value)
    return table


def _stream(recent: Sequence[State]) -> Table:
    s = recent[-1]
    furthest, behind = max(s.behind.items(), key=lambda item: item[1], default=("", 0))
    oldest = max(s.own_lag_s.values(), default=0.0)
    return _rows(
        {
            "events/s": f"{spark(events_per_s(*two) for two in pairwise(recent))} [bold]{rate(recent):,.0f}",
            "produced": f"{s.produced:,}",
            "pooled": f"{s.pooled:,}",
            "waiting for more users": f"{s.waiting:,}",
            "rejected": f"{_sum(s.rejected):,}",
            "live in pool": f"{s.pool_live:,}",
            "most behind": f"{furthest} {behind:,}" if behind else "none",
            "largest own lag": _seconds(oldest),
        }
    )


def _freshness(state: State) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("stage", style="dim", no_wrap=True, min_width=max(map(len, STAGES)))
    for name in ("passed", "p50", "p95", "p99"):
        table.add_column(name, justify="right", no_wrap=True)
    for stage, f in state.freshness.items():
        table.add_row(stage, f"{f.count:,}", _seconds(f.p50_s), _seconds(f.p95_s), f"[bold]{_seconds(f.p99_s)}")
    return table


def _devices(state: State) -> Table:
    return _rows(
        {
            "connected": f"[bold]{state.devices_connected:,}",
            "cloud model": f"[bold]v{state.model_version}" if state.model_version else "–",
            "predicted events": f"{state.predictions:,}",
            "retrainings": f"{_sum(state.trainings):,}",
            **{f"  {name.replace('_', ' ')}": f"{count:,}" for name, count in state.trainings.items()},
            **({"uploads": f"{state.uploads:,}"} if state.uploads else {}),
        }
    )


def _arms(state: State) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("arm", style="dim", no_wrap=True, min_width=6)
    for name in ("GAUC", "−cloud", "AUC", "−cloud"):
        table.add_column(name, justify="right", no_wrap=True)
    for arm, value in state.arm_auc.items():
        table.add_row(arm, *_against(state.arm_gauc, arm), *_against({**state.arm_auc, arm: value}, arm))
    return table


def _against(values: Mapping[str, float], arm: str) -> tuple[str, str]:
    if arm not in values:
        return "–", ""
    gain = values[arm] - values.get("cloud", values[arm])
    colour = "green" if gain > 0 else "red" if gain < 0 else "dim"
    return f"{values[arm]:.4f}", "" if arm == "cloud" else f"[{colour}]{gain:+.4f}"


def _pushes(state: State) -> Text:
    outcomes = " + ".join(f"{count:,} {name}" for name, count in state.push_outcomes.items()) or "0"
    batches = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in state.batches.items()) or "none yet"
    return Text.assemble(
        (" pushes ", "bold"),
        f"{state.pushes:,} = {outcomes} + {state.pushes_outstanding:,} outstanding",
        ("\n batches at devices: ", "dim"),
        batches,
    )


def _sum(parts: Mapping[str, int]) -> int:
    return sum(parts.values())


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def _seconds(value: float) -> str:
    """Three digits and a unit: 4 ms, 250 ms, 1.20 s, 75 s."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"
