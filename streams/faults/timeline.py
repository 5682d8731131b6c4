"""Faults against what they do: devices connected, lag and freshness over time, the undisturbed run behind in grey."""

import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes

from monitor.plots import COLOURS, svg
from monitor.state import State
from streams.faults.conductor import Done

_GREY, _FAULT = "#b6bcc6", "#fecaca"
_LIVE = ("live stream", "drain")
_FRESH = "pooled"


def timeline_plot(states: Sequence[State], faults: Sequence[Done], undisturbed: Sequence[State] = ()) -> str:
    """Three panels over the live part, seconds since it began."""
    figures: tuple[tuple[str, Callable[[State], float]], ...] = (
        ("devices connected", lambda s: s.devices_connected),
        ("events not yet processed", lambda s: sum(s.lag_events.values())),
        ("p99 of age when pooled, s", _age_s),
        ("retrainings so far", lambda s: sum(s.trainings.values())),
    )

    def draw(axes: Sequence[Axes]) -> None:
        began_s = _live(states)[0].elapsed_s
        for axis, colour, (title, value) in zip(axes, COLOURS, figures, strict=False):
            for fault in faults:
                wide_s = max(fault.ended_s - fault.began_s, 0.3)
                axis.axvspan(fault.began_s - began_s, fault.began_s - began_s + wide_s, color=_FAULT, alpha=0.4, lw=0)
            for run, ink in ((undisturbed, _GREY), (states, colour)):
                live = _live(run)
                axis.plot([s.elapsed_s - live[0].elapsed_s for s in live], [value(s) for s in live], color=ink, lw=1.5)
            axis.set_title(title)
            axis.set_ylim(bottom=0)
            axis.set_xlabel("seconds of live stream")

    return svg(draw, panels=4, height=4.6)


def _live(states: Sequence[State]) -> list[State]:
    return [s for s in states if s.phase in _LIVE] or list(states[-1:])


def _age_s(state: State) -> float:
    return state.freshness[_FRESH].p99_s if _FRESH in state.freshness else math.nan
