"""The state of one process in one line, and what it did in another one at its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monitor.definition import Definition
from monitor.metrics import Metrics
from streams.times import ago
from streams.watch.picture import Picture
from wire.status import Role


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric in words, with how it splits up by `label`; only series that are labelled as `only` says."""

    metric: Definition[Any]
    words: str
    label: str = ""
    only: str = ""

    def said(self, picture: Picture, *, rate: bool) -> str:
        """Its words with what it grows by per second; "" while it is zero."""
        parts = picture.by(self.metric, self.label, self.only)
        total = sum(parts.values())
        if not total:
            return ""
        per_s = 0.0 if self.only else picture.growth(self.metric)
        fast = f" ({per_s:,.0f}/s)" if rate and per_s >= 1 else f" ({per_s:.1f}/s)" if rate and per_s else ""
        return f"{total:,.0f} {self.words}{fast}{self._listed(parts)}"

    def _listed(self, parts: dict[str, float]) -> str:
        if not self.label:
            return ""
        largest = sorted(parts.items(), key=lambda part: -part[1])
        return f" ({', '.join(f'{value:,.0f} {name}' for name, value in largest)})".replace("_", " ")


SHOWN: dict[Role, Sequence[Figure]] = {
    Role.REPLAY: (
        Figure(Metrics.produced, "produced"),
        Figure(Metrics.rejected, "malformed"),
    ),
    Role.SCORER: (
        Figure(Metrics.events_scored, "events passed on", "outcome"),
        Figure(Metrics.rejected, "rejected", "reason"),
    ),
    Role.FLOW: (
        Figure(Metrics.pooled, "pooled"),
        Figure(Metrics.samples_waiting, "waiting for more users of their item"),
        Figure(Metrics.rejected, "rejected", "reason"),
        Figure(Metrics.matches, "matched"),
        Figure(Metrics.matches_withheld, "not matched as their devices stand aside"),
        Figure(Metrics.pool_live, "in the pool"),
    ),
    Role.TUNNEL: (
        Figure(Metrics.pushes, "pushed"),
        Figure(Metrics.push_outcomes, "answered for", "outcome"),
        Figure(Metrics.uploads, "events up"),
        Figure(Metrics.devices_connected, "devices connected"),
    ),
    Role.FLEET: (
        Figure(Metrics.devices_connected, "devices connected"),
        Figure(Metrics.predictions, "events predicted"),
        Figure(Metrics.device_outcomes, "events learned from alone", "outcome", "what=unpredicted"),
        Figure(Metrics.batches, "batches", "outcome"),
        Figure(Metrics.trainings, "trainings", "outcome"),
        Figure(Metrics.devices_aside, "stand aside"),
        Figure(Metrics.devices_unproven, "train and use no heads"),
    ),
    Role.CANARY: (
        Figure(Metrics.canaries_sent, "canaries sent"),
        Figure(Metrics.canaries_arrived, "came back"),
        Figure(Metrics.canaries_lost, "lost"),
        Figure(Metrics.canaries_in_flight, "on their way"),
    ),
    Role.CHAOS: (
        Figure(Metrics.faults_begun, "faults begun", "fault"),
        Figure(Metrics.faults_over, "over", "fault"),
    ),
    Role.TRAINER: (
        Figure(Metrics.samples_read, "samples read"),
        Figure(Metrics.samples_unlearned, "not learned from yet"),
        Figure(Metrics.cloud_trials, "tried models", "outcome"),
        Figure(Metrics.cloud_versions, "versions published"),
    ),
}
_NEED_A_MODEL = frozenset({Role.FLOW, Role.FLEET})


def state_line(role: Role, picture: Picture) -> str:
    """How far it is, with the word for each of its stages, and what it has done: a narrow terminal cuts the end off."""
    parts = []
    for stage in picture.stages:
        left = f", {stage.behind:,} behind" if stage.behind else ""
        parts.append(f"{stage.stage} {stage.word}{left}, as of {ago(stage.age_s)}")
    parts += [_model(role, picture), *_figures(role, picture, rate=True)]
    return " · ".join(filter(None, parts))


def summary_line(role: Role, picture: Picture) -> str:
    """What it did while it lived; "" for nothing."""
    did = ", ".join(_figures(role, picture, rate=False))
    if not did:
        return ""
    left = sum(stage.behind for stage in picture.stages)
    return f"ended: {did}{f'; {left:,} left to do' if left else ''}"


def _figures(role: Role, picture: Picture, *, rate: bool) -> list[str]:
    return [said for figure in SHOWN[role] if (said := figure.said(picture, rate=rate))]


def _model(role: Role, picture: Picture) -> str:
    version = picture.total(Metrics.model_version)
    if version:
        return f"cloud model v{version:.0f}"
    return "waiting for the first cloud model" if role in _NEED_A_MODEL else ""
