"""Faults against what they do: devices connected, lag and freshness over time, the undisturbed run behind in grey."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from matplotlib.axes import Axes

from monitor.plots import COLOURS, svg
from monitor.state import State
from streams.faults.conductor import Done
from streams.faults.stability import Moment

_GREY, _FAULT = "#b6bcc6", "#fecaca"
_LIVE = ("live stream", "drain")


@dataclass(frozen=True)
class Course:
    """How a run went: its states, and how old events were when they were pooled."""

    states: Sequence[State]
    ages: Sequence[Moment]

    @property
    def live(self) -> list[State]:
        """The states since the live stream began."""
        return [state for state in self.states if state.phase in _LIVE] or list(self.states[-1:])

    def over_time(self, value: Callable[[State], float]) -> tuple[list[float], list[float]]:
        """Seconds of live stream, and a figure of each state."""
        return [state.elapsed_s - self.live[0].elapsed_s for state in self.live], [value(s) for s in self.live]


Line = tuple[Sequence[float], Sequence[float]]
PANELS: tuple[tuple[str, Callable[[Course], Line]], ...] = (
    ("devices connected", lambda run: run.over_time(lambda s: s.devices_connected)),
    ("events not yet processed", lambda run: run.over_time(lambda s: sum(s.lag_events.values()))),
    (
        "p99 of age when pooled, since the user did it, s",
        lambda run: ([age.at_s for age in run.ages], [age.p99_s for age in run.ages]),
    ),
    ("retrainings so far", lambda run: run.over_time(lambda s: sum(s.trainings.values()))),
)


def timeline_plots(run: Course, faults: Sequence[Done], undisturbed: Course | None = None) -> list[str]:
    """One figure per panel over the live part, seconds since it began; faults are shaded."""
    began_s = run.live[0].elapsed_s
    shades = [(f.began_s - began_s, max(f.ended_s, f.began_s + 0.3) - began_s) for f in faults]

    def draw(title: str, lines: Sequence[tuple[Line, str]], axes: Sequence[Axes]) -> None:
        axis = axes[0]
        for low, high in shades:
            axis.axvspan(low, high, color=_FAULT, alpha=0.4, lw=0)
        for line, ink in lines:
            axis.plot(*line, color=ink, lw=1.5)
        axis.set_title(title)
        axis.set_ylim(bottom=0)
        axis.set_xlim(left=0)
        axis.set_xlabel("seconds of live stream")

    figures = []
    for colour, (title, line) in zip(COLOURS, PANELS, strict=False):
        lines = [(line(undisturbed), _GREY)] if undisturbed is not None else []
        lines.append((line(run), colour))
        figures.append(svg(partial(draw, title, lines), panels=1, columns=1))
    return figures
