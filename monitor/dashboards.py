"""The two Grafana dashboards, from one table: `python -m monitor.dashboards` writes them to `monitor/grafana/`.

*Is it broken* is for whoever was woken, *how is it used* for whoever wonders. At most five graphs in a row, and few
lines in a graph: a stage, an arm, an outcome; never a device.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "grafana"
_SOURCE = {"type": "prometheus", "uid": "prometheus"}
_COLUMNS = 24  # of Grafana's grid


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph: what it shows in words, PromQL with the name of its lines, and a unit as Grafana calls it."""

    title: str
    means: str
    queries: dict[str, str]
    unit: str = "short"


BROKEN = (
    (
        Panel("Canary age", "page on this: grows when nothing comes through", {"age": "coda:canary_age_seconds"}, "s"),
        Panel("Canary legs", "of the newest that came back", {"{{leg}}": "max by (leg) (coda_canary_seconds)"}, "s"),
        Panel(
            "Canaries",
            "sent is arrived, lost, and a few on their way",
            {
                "sent": "sum(rate(coda_canaries_sent_total[1m]))",
                "arrived": "sum(rate(coda_canaries_arrived_total[1m]))",
                "lost": "sum(rate(coda_canaries_lost_total[1m]))",
            },
            "ops",
        ),
        Panel("Alerts", "that fire now", {"{{alertname}}": 'ALERTS{alertstate="firing", alertname=~"Coda.*"}'}),
    ),
    (
        Panel("Age of each stage", "grows when it stops", {"{{stage}}": "coda:stage_age_seconds"}, "s"),
        Panel(
            "Events left to do",
            "by group; a process that died says nothing here, its age does",
            {"{{group}}": "sum by (group) (coda_lag_events)"},
        ),
        Panel("p99 since produced", "by stage", {"{{stage}}": "coda:freshness_seconds:p99"}, "s"),
    ),
    (
        Panel("Devices connected", "to the MQTT broker", {"devices": "coda:devices_connected:max"}),
        Panel(
            "Pushes",
            "and what became of them",
            {
                "pushed": "sum(rate(coda_pushes_total[1m]))",
                "{{outcome}}": "sum by (outcome) (rate(coda_push_outcomes_total[1m]))",
            },
            "ops",
        ),
        Panel(
            "Refused",
            "events, by reason",
            {"{{reason}}": "topk(5, sum by (reason) (rate(coda_events_rejected_total[1m])))"},
            "ops",
        ),
        Panel(
            "MQTT failures",
            "connections that failed or ended unasked, by reason",
            {"{{reason}}": "topk(5, sum by (reason) (rate(coda_mqtt_failures_total[1m])))"},
            "ops",
        ),
    ),
)
USED = (
    (
        Panel(
            "Throughput",
            "events produced, pooled and predicted",
            {
                "produced": "sum(rate(coda_events_produced_total[1m]))",
                "pooled": "sum(rate(coda_samples_pooled_total[1m]))",
                "predicted": "sum(rate(coda_predictions_total[1m]))",
            },
            "ops",
        ),
        Panel("Live in the pool", "samples in its window", {"samples": "sum(coda_pool_live_samples)"}),
        Panel("Cloud model", "version in use", {"version": "max(coda_model_version)"}, "none"),
    ),
    (
        Panel("GAUC by arm", "so far", {"{{arm}}": "avg by (arm) (coda_arm_gauc)"}, "none"),
        Panel(
            "GAUC minus the cloud's, lately",
            "over the newest 20,000 predictions, with the bounds of its 95 % interval",
            {"coda, {{bound}}": 'avg by (bound) (coda_lately_gauc_gain{arm="coda", devices="all"})'},
            "none",
        ),
        Panel(
            "Trainings",
            "of devices, by outcome",
            {"{{outcome}}": "sum by (outcome) (rate(coda_trainings_total[1m]))"},
            "ops",
        ),
        Panel(
            "Batches at devices",
            "by outcome",
            {"{{outcome}}": "topk(5, sum by (outcome) (rate(coda_batches_total[1m])))"},
            "ops",
        ),
    ),
    (
        Panel(
            "Median age at use",
            "event time, of samples in trainings and of the model in predictions",
            {"{{use}}": "histogram_quantile(0.5, sum by (use, le) (rate(coda_use_age_seconds_bucket[5m])))"},
            "s",
        ),
        Panel(
            "Log-loss of the cloud model by its age",
            "is it time for a newer one?",
            {
                "{{age}}": "sum by (age) (rate(coda_cloud_log_loss_total[15m])) "
                "/ sum by (age) (rate(coda_cloud_log_loss_events_total[15m]))"
            },
            "none",
        ),
        Panel(
            "Predicted by a model older than 30 days",
            "share within an hour",
            {"share": "coda:predictions_by_model_older_than_30d:ratio"},
            "percentunit",
        ),
    ),
)
DASHBOARDS = {
    "broken": ("CoDA: is it broken", BROKEN),
    "used": ("CoDA: how is it used", USED),
}


def dashboard(name: str) -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    title, rows = DASHBOARDS[name]
    panels: list[dict[str, Any]] = []
    for y, row in enumerate(rows):
        width = _COLUMNS // len(row)
        for x, panel in enumerate(row):
            panels.append(_panel(panel, len(panels) + 1, {"x": x * width, "y": 8 * y, "w": width, "h": 8}))
    return {
        "uid": f"coda-{name}",
        "title": title,
        "tags": ["coda"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "panels": panels,
    }


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "title": panel.title,
        "description": panel.means,
        "type": "timeseries",
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "custom": {"spanNulls": False}}, "overrides": []},
        "targets": [
            {"refId": "ABCDE"[i], "expr": expression, "legendFormat": legend}
            for i, (legend, expression) in enumerate(panel.queries.items())
        ],
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
    }


def write() -> None:
    """Write both to `FOLDER`."""
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(json.dumps(dashboard(name), indent=1) + "\n")


if __name__ == "__main__":
    write()
