"""Faults against what they do: devices within reach, lag and freshness over time; in grey the run without faults."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from matplotlib.axes import Axes

from monitor.plots import COLOURS, svg
from monitor.state import State
from streams.faults.verdict import Verdict

_GREY, _FAULT = "#b6bcc6", "#fecaca"
_LIVE = ("live stream", "drain")


@dataclass(frozen=True)
class Course:
    """How a run went: its states, and what came of it."""

    states: Sequence[State]
    verdict: Verdict

    @property
    def live(self) -> list[State]:
        """The states since the live stream began."""
        return [state for state in self.states if state.phase in _LIVE] or list(self.states[-1:])

    def over_time(self, value: Callable[[State], float]) -> tuple[list[float], list[float]]:
        """Seconds of live stream, and a figure of each state."""
        live = self.live
        return [state.elapsed_s - live[0].elapsed_s for state in live], [value(state) for state in live]


Line = tuple[Sequence[float], Sequence[float]]
PANELS: tuple[tuple[str, Callable[[Course], Line]], ...] = (
    (
        "devices that the broker can reach",
        lambda run: ([at_s for at_s, _ in run.verdict.reachable], [n for _, n in run.verdict.reachable]),
    ),
    ("events not yet processed", lambda run: run.over_time(lambda s: sum(s.behind.values()))),
    (
        "p99 of age when pooled, since the user did it, s",
        lambda run: ([age.at_s for age in run.verdict.ages], [age.p99_s for age in run.verdict.ages]),
    ),
    ("retrainings so far", lambda run: run.over_time(lambda s: sum(s.trainings.values()))),
)


def timeline_plots(run: Course, undisturbed: Course | None = None) -> list[str]:
    """One figure per panel over the live part, seconds since it began; faults are shaded."""
    began_s = run.live[0].elapsed_s
    shades = [(f.began_s - began_s, max(f.ended_s, f.began_s + 0.3) - began_s) for f in run.verdict.faults]

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
