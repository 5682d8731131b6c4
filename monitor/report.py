"""The report of a run: one HTML file that needs nothing beside it."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from monitor.accounting import Accounting
from monitor.arms import ArmResult, ArmsOverTime, device_arms
from monitor.as_html import as_html
from monitor.metrics import FRESHNESS_BUCKETS_S
from monitor.plots import arms_plot
from monitor.state import Freshness, State
from monitor.use import used

_CSS = """
:root { color-scheme: light; --ink: #111827; --soft: #6b7280; --line: #e5e7eb; --good: #047857; --bad: #b91c1c; }
* { box-sizing: border-box; }
body { margin: 0; background: #f9fafb; color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; margin: 0; letter-spacing: -.02em; } h2 { font-size: 17px; margin: 0 0 4px; }
p { margin: 4px 0 12px; color: var(--soft); max-width: 78ch; }
section { background: #fff; border: 1px solid var(--line); border-radius: 12px; padding: 18px 20px; margin-top: 18px; }
svg { width: 100%; height: auto; display: block; margin-top: 14px; }
iframe { width: 100%; height: 1600px; border: 0; margin-top: 12px; border-radius: 8px; }
.verdict { display: inline-block; margin: 12px 0 0; padding: 6px 12px; border-radius: 8px; font-weight: 600; }
.good { background: #ecfdf5; color: var(--good); } .bad { background: #fef2f2; color: var(--bad); }
.open { background: #fffbeb; color: #92400e; }
dt { font-weight: 600; } dd { margin: 0 0 6px; color: var(--soft); max-width: 78ch; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 12px; margin-top: 18px; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 12px; padding: 12px 14px; }
.card b { display: block; font-size: 22px; letter-spacing: -.02em; } .card span { color: var(--soft); font-size: 13px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: right; color: var(--soft); font-weight: 500; font-size: 13px; }
td { text-align: right; } th:first-child, td:first-child { text-align: left; }
th, td { padding: 6px 10px; border-bottom: 1px solid var(--line); } tr:last-child td { border-bottom: 0; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(320px, 100%), 1fr)); gap: 24px;
  align-items: start; }
.figures { grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); }
.scroll, .wide { overflow-x: auto; } .wide { margin-top: 18px; } .columns > * { min-width: 0; margin-top: 0; }
.words th:nth-child(2), .words td:nth-child(2) { text-align: left; } .bad td { font-weight: 600; }
pre { margin: 0; overflow-x: auto; font-size: 13px; } h1, h2, p, li, dd, .verdict { overflow-wrap: anywhere; }
"""


def report(
    *,
    title: str,
    states: Sequence[State],
    accounts: Accounting,
    problems: Sequence[str],
    freshness: Mapping[str, Freshness],
    arms: Mapping[str, ArmResult],
    arms_over_time: ArmsOverTime | None,
    configuration: Mapping[str, Any],
    frozen: str = "",
    sections: Sequence[str] = (),
    cloud: str = "cloud",
    meaning: str = "the cloud model",
) -> str:
    """The page.

    `states` is the whole run, at least one; `freshness` is of its live part; `problems` are what did not add up
    or go well; `arms_over_time` is None when nothing was predicted; `frozen` is the dashboard of the run,
    a page of its own; `sections` (HTML) come first; `cloud` is what the arm is called that devices add to, `meaning`
    what it is.
    """
    last = states[-1]
    body = [
        f"<h1>{as_html(title)}</h1>",
        _verdict(problems),
        _cards(last, arms, cloud),
        *sections,
        section(
            "Arms on the same events",
            _ARMS_WORDS.format(cloud=cloud, meaning=meaning, device_arms=device_arms(arms)),
            _arms_table(arms, cloud),
            _plot(arms_over_time, cloud),
        ),
        section("Freshness", _FRESHNESS_WORDS, _freshness_table(freshness)),
        *_use(last),
        *([section("Second by second", _FROZEN_WORDS, _frame(frozen))] if frozen else []),
        section("Accounts", "Every event and every push has to end somewhere.", _accounts(accounts, last)),
        section(
            "Configuration",
            "Seed and versions make the run repeatable.",
            f"<pre>{escape(json.dumps(configuration, indent=2))}</pre>",
        ),
    ]
    return page(title, body)


def page(title: str, body: Sequence[str]) -> str:
    """A page that needs nothing beside it; `body` is HTML."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>{as_html(title)}</title>'
        f"<style>{_CSS}</style></head><body><main>{''.join(body)}</main></body></html>"
    )


_ARMS_WORDS = (
    "Every arm predicts each event before anything learns from it. All others add to {cloud}: {meaning}. Each of them "
    "blends that, the local head and its own: {device_arms}. Intervals are 95 % bootstrap over users, paired with "
    "{cloud}."
)
_FRESHNESS_WORDS = (
    "Age since an event was produced to Kafka when it reaches each stage, over the live part of a run, or all of one "
    "that was recorded by hand."
)


_FROZEN_WORDS = "What `coda dashboard` showed, or would have: stages, lag, throughput and arms over time, as it ended."
_USE_WORDS = (
    "Age in event time of the samples that devices trained on, each time they did, and of the cloud model that "
    "predicted: which share was older than so much."
)
_USE_BOUNDS = {"1 min": 60.0, "1 h": 3600.0, "1 d": 86400.0, "7 d": 604800.0, "30 d": 2592000.0, "90 d": 7776000.0}


def section(title: str, words: str, *parts: str) -> str:
    """One box of a page: title and words are text, parts are HTML."""
    return f"<section><h2>{as_html(title)}</h2><p>{as_html(words)}</p>{''.join(parts)}</section>"


def _verdict(problems: Sequence[str]) -> str:
    if not problems:
        return '<div class="verdict good">everything adds up</div>'
    return "".join(f'<div class="verdict bad">{as_html(problem)}</div><br>' for problem in problems)


def _cards(last: State, arms: Mapping[str, ArmResult], cloud: str) -> str:
    figures = {
        "events produced": f"{last.produced:,}",
        "events predicted": f"{last.predictions:,}",
        "retrainings on devices": f"{sum(last.trainings.values()):,}",
        "batches pushed": f"{last.pushes:,}",
        "cloud model versions": f"{last.cloud_versions:,}",
        "minutes": f"{last.elapsed_s / 60:.1f}",
    }
    if "coda" in arms:
        coda = arms["coda"]
        figures[f"coda's GAUC − {cloud}'s, 95 %: {coda.gauc_gain_low:+.4f} to {coda.gauc_gain_high:+.4f}"] = (
            f"{coda.gauc_gain:+.4f}"
        )
    cards = "".join(
        f'<div class="card"><b>{as_html(value)}</b><span>{as_html(name)}</span></div>'
        for name, value in figures.items()
    )
    return f'<div class="cards">{cards}</div>'


def _plot(arms_over_time: ArmsOverTime | None, cloud: str) -> str:
    return arms_plot(arms_over_time, cloud) if arms_over_time else "<p>No figures: no event, or too few users.</p>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of text."""
    names = "".join(f"<th>{as_html(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{as_html(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{names}</tr>{body}</table></div>'


def _arms_table(arms: Mapping[str, ArmResult], cloud: str) -> str:
    rows = [
        (
            name,
            f"{arm.gauc:.4f}",
            ""
            if arm.harmed_share is None
            else f"{arm.gauc_gain:+.4f}  [{arm.gauc_gain_low:+.4f}, {arm.gauc_gain_high:+.4f}]",
            f"{arm.auc:.4f}",
            f"{arm.log_loss:.4f}",
            "" if arm.harmed_share is None else f"{arm.harmed_share:.0%}",
        )
        for name, arm in arms.items()
    ]
    return table(("arm", "GAUC", f"GAUC − {cloud}", "AUC", "log-loss", "users harmed"), rows)


def _freshness_table(freshness: Mapping[str, Freshness]) -> str:
    rows = [
        (f"produced → {stage}", f"{f.count:,}", *map(_age, (f.p50_s, f.p95_s, f.p99_s)))
        for stage, f in freshness.items()
    ]
    return table(("stage", "passed", "p50", "p95", "p99"), rows)


def _age(seconds: float) -> str:
    """An age to two digits, the second of which the buckets that it was counted in hardly tell."""
    if seconds >= FRESHNESS_BUCKETS_S[-1]:
        return f"≥ {FRESHNESS_BUCKETS_S[-1]} s"
    return f"{float(f'{1000 * seconds:.2g}'):g} ms" if seconds < 1 else f"{float(f'{seconds:.2g}'):g} s"


def _batches(outcomes: Mapping[str, int]) -> tuple[int, dict[str, int]]:
    """How many there were, and what became of each; some accepted ones are outdated by a newer model since."""
    parts = dict(outcomes)
    if outdated := parts.pop("outdated", 0):
        parts["accepted, outdated since"] = outdated
        parts["accepted"] = max(0, parts.get("accepted", 0) - outdated)
    return sum(parts.values()), parts


def _frame(page: str) -> str:
    """A page within this one, with styles of its own."""
    return f'<iframe title="the dashboard of the run" srcdoc="{escape(page)}"></iframe>'


def _use(last: State) -> list[str]:
    """How old what devices used was; nothing where they used nothing."""
    uses = used(last.use_ages)
    if not uses:
        return []
    rows = [(each.use, f"{each.count:,}", *(f"{each.older[s]:.1%}" for s in _USE_BOUNDS.values())) for each in uses]
    return [
        section("Freshness at use", _USE_WORDS, table(("of", "used", *(f"> {bound}" for bound in _USE_BOUNDS)), rows))
    ]


def _accounts(accounts: Accounting, last: State) -> str:
    tables = (
        (
            "events",
            accounts.produced,
            {"pooled": accounts.pooled, "waiting": accounts.waiting, **_named("rejected", accounts.rejected)},
        ),
        ("pushes", accounts.pushes, accounts.push_outcomes),
        ("batches at devices", *_batches(last.batches)),
        ("retrainings", sum(last.trainings.values()), last.trainings),
        ("canaries", last.canaries.get("sent", 0), {k: n for k, n in last.canaries.items() if k != "sent"}),
        ("matches", sum(last.matches.values()), last.matches),
    )
    return '<div class="columns">' + "".join(_account(*table) for table in tables) + "</div>"


def _account(name: str, total: int, parts: Mapping[str, int]) -> str:
    return table((name, f"{total:,}"), [(part.replace("_", " "), f"{count:,}") for part, count in parts.items()])


def _named(name: str, parts: Mapping[str, int]) -> dict[str, int]:
    return {f"{name}: {part}": count for part, count in parts.items()}
