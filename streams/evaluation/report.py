"""The report of an evaluation: one HTML page with figures, intervals, curves over time and gains per user."""

import json
from collections.abc import Mapping, Sequence
from html import escape

from monitor.arms import device_arms
from monitor.as_html import as_html
from monitor.plots import arms_plot, gains_plot
from monitor.report import page, section, table
from streams.evaluation.arms import arms_over_time
from streams.evaluation.lineup import BASES, spoken
from streams.evaluation.paired import ArmFigures, Comparison, Pair, with_interval
from streams.evaluation.prequential import Outcome
from streams.evaluation.result import Result
from streams.evaluation.verdict import TERMS
from streams.logs.check import USERS_NEEDED, LogCheck
from streams.logs.page import log_section
from wire.task import ARMS

_ARMS_WORDS = (
    "Every arm (a way to predict) predicts each event before anything learns from it. Cloud is the global model, "
    "trained on the initial part of the log; cloud-refreshed gets new versions. Each device arm blends its base (the "
    "cloud model, or what its name ends with), the local head and its own: {device_arms}. Popularity, repeats and "
    "online are global, one model for everybody that learns as the stream goes; boosted is trees that are trained "
    "again as it goes, on the same features: what a service would take instead. Untrained: the initial part was "
    "too short for it."
)
_PAIRED_WORDS = (
    "Differences on the same events; in brackets is where 95 of 100 such samples of users would have them. Users up "
    "and down: the share whose own AUC is higher, lower (harmed). Halves of the streamed part are reported apart: "
    "settings may be chosen on the first only. So are items that are new to the user, and repeats: those that the user "
    "had taken before."
)
_COST_WORDS = "What a retraining costs a device: compute of one core, measured here, and bytes of candidate batches."
_HARM_WORDS = (
    "By how much coda's log-loss, summed up, exceeds the cloud's on a device. Blending may cost so much and no more; "
    "the bound is derived in models/blend.py."
)
_GAINS_WORDS = "Users with both labels among their predicted events; users who never trained gain exactly 0."


def evaluation_report(result: Result, outcomes: Mapping[str, Outcome], check: LogCheck) -> str:
    """The page. `outcomes` by base, as `result` was made from; of too few users it has no figures."""
    title = f"{result.log}: {result.predicted:,} events predicted on {result.devices:,} devices, seed {result.seed}"
    body = [f"<h1>{as_html(title)}</h1>", _verdict(result)]
    if result.users >= USERS_NEEDED:
        body += _figures(result, outcomes)
    body.append(log_section(check))
    settings = escape(json.dumps(result.settings, indent=2))
    body.append(section("Settings", "With the seed they make the run repeatable.", f"<pre>{settings}</pre>"))
    return page(title, body)


def _verdict(result: Result) -> str:
    first, *more = result.verdict.lines
    kind = {"yes": "good", "no": "bad"}.get(result.verdict.answer, "open")
    return f'<div class="verdict {kind}">{as_html(first)}</div>' + "".join(f"<p>{as_html(line)}</p>" for line in more)


def _figures(result: Result, outcomes: Mapping[str, Outcome]) -> list[str]:
    terms = "".join(f"<dt>{as_html(name)}</dt><dd>{as_html(meaning)}</dd>" for name, meaning in TERMS.items())
    words = _ARMS_WORDS.format(device_arms=device_arms(result.arms))
    found = [
        section("Arms on the same events", words, _arms(result.arms, result.untrained), f"<dl>{terms}</dl>"),
        section("Paired differences", _PAIRED_WORDS, _pairs("all events", result.paired), *_parts(result)),
    ]
    for base, outcome in outcomes.items():
        found.append(section(f"Over time, on {BASES[base]}", "Cumulative, in event-time order.", _curves(outcome)))
        found.append(section(f"Gains per user, on {BASES[base]}", _GAINS_WORDS, _gains(outcome)))
    return [
        *found,
        section("Harm", _HARM_WORDS, _harm(result)),
        section("Cost", _COST_WORDS, _cost(result)),
        section("The global model, refreshed", "A version that predicts no better is held back.", _versions(result)),
    ]


def _versions(result: Result) -> str:
    rows = [("versions", f"{result.cloud_versions:,}"), ("held back", f"{result.cloud_held_back:,}")]
    return table(("the first one among them", ""), rows)


def _arms(arms: Mapping[str, ArmFigures], untrained: Sequence[str]) -> str:
    rows = [
        (name, *(figure(v) for v in (a.gauc, a.moment, a.ndcg, a.auc, a.logloss, a.ece))) for name, a in arms.items()
    ]
    rows += [(name, "untrained", "", "", "", "", "") for name in untrained]
    return table(("arm", "GAUC", "AUC within the moment", "NDCG", "AUC", "log-loss", "ECE"), rows)


def figure(value: float | None) -> str:
    """Four digits, or a dash where there is none."""
    return "–" if value is None else f"{value:.4f}"


def _pairs(what: str, paired: Mapping[str, Pair]) -> str:
    rows = [
        (
            spoken(name),
            str(p),
            f"{p.users_up:.0%} / {p.users_down:.0%}",
            "–" if p.moment is None or p.moment_ci95 is None else with_interval(p.moment, p.moment_ci95),
            with_interval(p.auc, p.auc_ci95),
            with_interval(p.logloss, p.logloss_ci95),
        )
        for name, p in paired.items()
    ]
    return table((what, "GAUC", "users up / down", "AUC within the moment", "AUC", "log-loss"), rows)


def _parts(result: Result) -> list[str]:
    return [_pairs(name, part.paired) for name, part in result.parts().items() if part.paired]


def _curves(outcome: Outcome) -> str:
    curves = arms_over_time(outcome.predictions)
    return arms_plot(curves) if curves else "<p>No event was predicted.</p>"


def _gains(outcome: Outcome) -> str:
    arms = [arm for arm in ARMS if arm in outcome.predictions.columns]
    comparison = Comparison(outcome.predictions, arms, seed=0)
    if not len(comparison.ranked):
        return "<p>No user has events of both labels.</p>"
    samples = {training.user_id: training.own_rows for training in outcome.trainings}
    names = outcome.predictions["user_id"].unique().sort().to_list()
    gain = comparison.user_auc["coda"] - comparison.user_auc["cloud"]
    at = comparison.ranked.tolist()
    return gains_plot([samples.get(names[n], 0) for n in at], [float(gain[n]) for n in at])


def _harm(result: Result) -> str:
    rows = [
        (base, f"{harm.over_bound:,} of {harm.devices:,}", f"{harm.worst_nats:.2f} nats", f"{harm.bound_nats:.2f} nats")
        for base, harm in result.harm.items()
    ]
    return table(("cloud model", "devices over the bound", "most lost by any at any moment", "allowed there"), rows)


def _cost(result: Result) -> str:
    cost = result.device_cost
    rows = [
        ("retrainings", f"{cost.retrainings:,}"),
        ("heads that passed the acceptance test", f"{cost.accepted_share:.1%}"),
        ("compute, p50", f"{cost.train_ms_p50:.1f} ms"),
        ("compute, p99", f"{cost.train_ms_p99:.1f} ms"),
        ("bytes down per retraining", f"{cost.bytes_down_per_retrain:,.0f}"),
        ("bytes a device keeps", f"{cost.bytes_stored:,.0f}"),
        ("devices that stand aside in the end", f"{cost.aside:,}"),
        ("devices with unproven heads in the end", f"{cost.unproven:,}"),
        ("retrainings that standing aside saved", f"{cost.withheld:,}"),
    ]
    return table(("per retraining", ""), rows)
