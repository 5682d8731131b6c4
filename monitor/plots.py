"""The plots of a report, each as one SVG that stands alone in a page."""

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from monitor.arms import ArmsOverTime
from monitor.live import RATE_WINDOW, rate
from monitor.state import State

# One colour per arm wherever it appears; `coda` is the one to look at.
ARM_COLOURS = {
    "cloud": "#8a8f98",
    "local": "#3b82f6",
    "random": "#d97706",
    "coarse": "#0d9488",
    "mpda": "#8b7fc7",
    "coda": "#db2777",
}
COLOURS = ("#3b82f6", "#0d9488", "#d97706", "#db2777", "#7c3aed", "#65a30d")
_DAY_MS = 86_400_000
_LETTER_SHARE = 0.014  # of an axis' width that a letter of a phase's name takes
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa0aa",
    "axes.labelcolor": "#4b5563",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "xtick.color": "#4b5563",
    "ytick.color": "#4b5563",
    "grid.color": "#e5e7eb",
    "axes.grid": True,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.hashsalt": "coda",  # same data, same file
}


def arms_plot(arms: ArmsOverTime) -> str:
    """GAUC and AUC of each arm over the events predicted so far, and below how far each is from the cloud arm."""

    def draw(axes: Sequence[Axes]) -> None:
        for axis, name, values in ((axes[0], "GAUC", arms.gauc), (axes[1], "AUC", arms.auc)):
            _arm_lines(axis, arms.predicted, values)
            axis.set_title(f"{name}, over all events so far")
        for axis, name, values in ((axes[2], "GAUC", arms.gauc), (axes[3], "AUC", arms.auc)):
            cloud = values["cloud"]
            gains = {arm: [a - b for a, b in zip(line, cloud, strict=True)] for arm, line in values.items()}
            _arm_lines(axis, arms.predicted, gains)
            axis.set_title(f"{name} − the cloud arm's")
            axis.set_xlabel("events predicted")
        legend(axes[0])

    return svg(draw, panels=4, height=4.6)


def log_plot(over_time: Sequence[int], first_ms: int, last_ms: int, by_events: Sequence[int]) -> str:
    """A log's events in equal parts of its span (Unix ms), and its users with 1, 2-3, 4-7, … events."""

    def draw(axes: Sequence[Axes]) -> None:
        width_ms = (last_ms - first_ms) / max(len(over_time), 1)
        edges = [(first_ms + n * width_ms) / _DAY_MS for n in range(len(over_time) + 1)]
        axes[0].stairs(over_time, edges, fill=True, color=COLOURS[0], alpha=0.7)
        axes[0].xaxis.set_major_locator(MaxNLocator(5))
        axes[0].xaxis.set_major_formatter(FuncFormatter(lambda day, _: _date(day, width_ms)))
        axes[0].set_title("events over time")
        axes[1].bar(range(len(by_events)), by_events, color=COLOURS[1], alpha=0.7)
        axes[1].set_xticks(range(len(by_events)), [f"{2**n:,}" for n in range(len(by_events))], fontsize=8)
        axes[1].set_title("users by their number of events, from")

    return svg(draw, panels=2, height=2.4)


def _date(days: float, width_ms: float) -> str:
    """Days since 1970 as a date, with the time where a bar is less than half an hour."""
    moment = datetime.fromtimestamp(days * _DAY_MS / 1000, UTC)
    return f"{moment:%Y-%m-%d %H:%M}" if width_ms < _DAY_MS / 48 else f"{moment:%Y-%m-%d}"


def gains_plot(samples: Sequence[int], gains: Sequence[float]) -> str:
    """Each user's gain in AUC against their number of own samples, with its course, and how gains are distributed."""

    def draw(axes: Sequence[Axes]) -> None:
        axes[0].scatter(samples, gains, s=8, color=ARM_COLOURS["coda"], alpha=0.35, lw=0)
        axes[0].plot(*_course(samples, gains), color="#111827", lw=1.6, label="mean of as many users each")
        axes[0].set_title("AUC, coda − cloud, per user")
        axes[0].set_xlabel("own samples at the last retraining")
        axes[1].hist(gains, bins=40, color=ARM_COLOURS["coda"], alpha=0.7)
        axes[1].set_title("users by their gain")
        axes[1].set_xlabel("AUC, coda − cloud")
        for line in (axes[0].axhline, axes[1].axvline):
            line(0, color="#9aa0aa", lw=1)
        legend(axes[0])

    return svg(draw, panels=2, height=3.2)


def _course(samples: Sequence[int], gains: Sequence[float]) -> tuple[list[float], list[float]]:
    """Mean samples and mean gain of users in up to 10 parts of equal size, by samples."""
    pairs = sorted(zip(samples, gains, strict=True))
    size = max(1, -(-len(pairs) // 10))
    parts = [pairs[at : at + size] for at in range(0, len(pairs), size)]
    return ([sum(n for n, _ in part) / len(part) for part in parts], [sum(g for _, g in p) / len(p) for p in parts])


def rate_plot(states: Sequence[State]) -> str:
    """Events produced and retrainings done per second."""

    def draw(axes: Sequence[Axes]) -> None:
        seconds = [s.elapsed_s for s in states]
        produced = [rate(states[max(0, i - RATE_WINDOW) : i + 1]) for i in range(len(states))]
        trained = _growth(states, lambda s: sum(s.trainings.values()))
        for axis, values, title, colour in (
            (axes[0], produced, "events produced per second", COLOURS[0]),
            (axes[1], trained, "devices retrained per second", COLOURS[3]),
        ):
            axis.fill_between(seconds, values, color=colour, alpha=0.15, lw=0)
            axis.plot(seconds, values, color=colour, lw=1.4)
            axis.set_title(title)
            axis.set_ylim(bottom=0)
            time_axis(axis, states)
        wide_axis(axes[0], linear_up_to=100)

    return svg(draw, panels=2)


def freshness_plot(states: Sequence[State]) -> str:
    """p50 and p99 of the age since the produce timestamp, per stage."""
    stages = list(dict.fromkeys(stage for s in states for stage in s.freshness))

    def draw(axes: Sequence[Axes]) -> None:
        for axis, which in ((axes[0], "p50"), (axes[1], "p99")):
            for colour, stage in zip(COLOURS, stages, strict=False):
                values = [
                    getattr(s.freshness[stage], f"{which}_s") if stage in s.freshness else math.nan for s in states
                ]
                axis.plot([s.elapsed_s for s in states], values, color=colour, label=stage, lw=1.4, marker=".", ms=2)
            axis.set_title(f"{which} of age since produced")
            axis.set_yscale("log")
            axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.yaxis.set_minor_formatter(NullFormatter())
            axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g} s" if y >= 1 else f"{y * 1000:g} ms"))
            time_axis(axis, states)
        legend(axes[0])

    return svg(draw, panels=2)


def lag_plot(states: Sequence[State]) -> str:
    """By stage, events that are left to do, and how far it lies behind the stage before."""
    stages = list(dict.fromkeys(stage for s in states for stage in (*s.behind, *s.own_lag_s)))

    def draw(axes: Sequence[Axes]) -> None:
        seconds = [s.elapsed_s for s in states]
        for colour, stage in zip(COLOURS, stages, strict=False):
            words: dict[str, Any] = {"color": colour, "label": stage, "lw": 1.4}
            axes[0].plot(seconds, [s.behind.get(stage, 0) for s in states], **words)
            axes[1].plot(seconds, [s.own_lag_s.get(stage, math.nan) for s in states], **words)
        for axis, title, linear_up_to in (
            (axes[0], "events left to do", 100),
            (axes[1], "own lag: seconds behind the stage before", 1),
        ):
            axis.set_title(title)
            wide_axis(axis, linear_up_to)
            time_axis(axis, states)
        legend(axes[0])

    return svg(draw, panels=2)


def device_plot(states: Sequence[State]) -> str:
    """Devices connected, and what became of pushes."""
    outcomes = list(dict.fromkeys(outcome for s in states for outcome in s.push_outcomes))

    def draw(axes: Sequence[Axes]) -> None:
        seconds = [s.elapsed_s for s in states]
        axes[0].plot(seconds, [s.devices_connected for s in states], color=COLOURS[1], lw=1.4)
        axes[0].set_title("devices connected")
        axes[1].plot(seconds, [s.pushes for s in states], color="#111827", lw=1.2, ls="--", label="pushed")
        for colour, outcome in zip(COLOURS, outcomes, strict=False):
            axes[1].plot(
                seconds, [s.push_outcomes.get(outcome, 0) for s in states], color=colour, label=outcome, lw=1.4
            )
        axes[1].set_title("pushes and their outcomes")
        legend(axes[1])
        for axis in axes:
            axis.set_ylim(bottom=0)
            time_axis(axis, states)

    return svg(draw, panels=2)


def _arm_lines(axis: Axes, predicted: Sequence[int], values: Mapping[str, Sequence[float]]) -> None:
    for arm, line in values.items():
        axis.plot(predicted, line, color=ARM_COLOURS.get(arm, "#111827"), label=arm, lw=2.2 if arm == "coda" else 1.4)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))


def legend(axis: Axes) -> None:
    """One legend for the whole figure, above it, where no line can hide it."""
    handles, labels = axis.get_legend_handles_labels()
    figure = axis.get_figure()
    if handles and isinstance(figure, Figure):
        figure.legend(
            handles,
            labels,
            loc="outside upper right",
            ncols=len(labels),
            fontsize=8,
            handlelength=1.2,
            columnspacing=1.2,
        )


def _growth(states: Sequence[State], count: Callable[[State], int]) -> list[float]:
    """Per second, over the same window as the event rate."""
    values = []
    for i, state in enumerate(states):
        earlier = states[max(0, i - RATE_WINDOW)]
        elapsed = state.elapsed_s - earlier.elapsed_s
        values.append((count(state) - count(earlier)) / elapsed if elapsed > 0 else 0.0)
    return values


def time_axis(axis: Axes, states: Sequence[State]) -> None:
    """Seconds since the start, every other phase shaded and all of them named."""
    axis.set_xlabel("seconds since the start")
    axis.set_xlim(0, max(states[-1].elapsed_s, 1))
    for i, (phase, members) in enumerate(_spans(states).items()):
        start, end = members
        if i % 2:
            axis.axvspan(start, end, color="#f3f4f6", zorder=0, lw=0)
        if end - start >= _LETTER_SHARE * len(phase) * states[-1].elapsed_s:
            axis.annotate(phase, (start, 1), xycoords=("data", "axes fraction"), fontsize=7, color="#9aa0aa",
                          xytext=(2, -2), textcoords="offset points", va="top")  # fmt: skip


def wide_axis(axis: Axes, linear_up_to: float) -> None:
    """From 0, linear up to a point and logarithmic beyond: history goes in a hundred times as fast as the live part."""
    axis.set_yscale("symlog", linthresh=linear_up_to)
    axis.set_ylim(bottom=0)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.10g}"))


def _spans(states: Sequence[State]) -> Mapping[str, tuple[float, float]]:
    starts = [(phase, next(members).elapsed_s) for phase, members in groupby(states, key=lambda s: s.phase)]
    ends = [start for _, start in starts[1:]] + [states[-1].elapsed_s if states else 0.0]
    return {phase: (start, end) for (phase, start), end in zip(starts, ends, strict=True)}


def svg(draw: Callable[[Sequence[Axes]], None], panels: int, height: float = 2.6, columns: int = 2) -> str:
    """The figure that `draw` makes of so many panels, `columns` in a row: an element as wide as its page lets it."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.5 * columns, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw([figure.add_subplot(-(-panels // columns), columns, i + 1) for i in range(panels)])
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    drawn = text.getvalue()
    # Only the element itself goes into the page, and as wide as the page lets it.
    return re.sub(r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", drawn[drawn.index("<svg") :], count=1).replace(
        "<svg ", '<svg role="img" ', 1
    )
