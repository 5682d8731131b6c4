"""The plots of a report, each as one SVG that stands alone in a page."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from monitor.arms import ArmsOverTime

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


def arms_plot(arms: ArmsOverTime, cloud: str = "cloud") -> str:
    """GAUC and AUC of each arm over the events predicted so far, and below how far each is from the one that devices
    add to, which is called `cloud`."""

    def draw(axes: Sequence[Axes]) -> None:
        for axis, name, values in ((axes[0], "GAUC", arms.gauc), (axes[1], "AUC", arms.auc)):
            _arm_lines(axis, arms.predicted, values, cloud)
            axis.set_title(f"{name}, over all events so far")
        for axis, name, values in ((axes[2], "GAUC", arms.gauc), (axes[3], "AUC", arms.auc)):
            added_to = values["cloud"]
            gains = {arm: [a - b for a, b in zip(line, added_to, strict=True)] for arm, line in values.items()}
            _arm_lines(axis, arms.predicted, gains, cloud)
            axis.set_title(f"{name} − the {cloud} arm's")
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


def _arm_lines(axis: Axes, predicted: Sequence[int], values: Mapping[str, Sequence[float]], cloud: str) -> None:
    for arm, line in values.items():
        colour, label = ARM_COLOURS.get(arm, "#111827"), cloud if arm == "cloud" else arm
        axis.plot(predicted, line, color=colour, label=label, lw=2.2 if arm == "coda" else 1.4)
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
