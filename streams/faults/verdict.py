"""The verdict on a run with faults: what became of each event and batch, how soon all was well, what was broken."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

import msgspec
import polars as pl

from monitor.state import State
from streams.faults.conductor import Done
from streams.faults.convergence import Pooled
from streams.faults.fates import Fates, fates_of_batches, fates_of_events
from streams.faults.history import History
from streams.faults.personalisation import Arms
from streams.faults.recovery import Look, back_after_s, recovered_after_s, there_before
from streams.faults.stability import Moment, Stability, ages_over_time, stability
from streams.faults.versions import mixed, went_back
from wire.identity import ModelId


class Invariant(msgspec.Struct, frozen=True):
    """One thing that has to hold; `problem` is "" when it did."""

    name: str
    promise: str
    problem: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """All that can be said; `ok` when no invariant was broken.

    `devices_before` were there when the first fault began, of which `devices_left` at the worst moment. After the last
    one all were connected again within `back_s`, and nobody was behind within `recovered_s`. `arms` are the arms'
    results by whose they are, such as `disturbed`; `pool_digest` is of all samples with their histories. By seconds of
    live stream, `reachable` is how many devices the broker could reach, `ages` how old events were when pooled.
    """

    ok: bool
    invariants: list[Invariant]
    faults: list[Done]
    events: Fates
    batches: Fates
    redelivered: int
    stability: Stability
    back_s: float | None
    recovered_s: float | None
    devices_before: int
    devices_left: int
    pool_digest: str
    reachable: list[tuple[float, int]]
    ages: list[Moment]
    arms: Arms = {}

    def broken(self) -> list[str]:
        """One line for each invariant that did not hold."""
        return [f"{i.name}: {i.problem}" for i in self.invariants if i.problem]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What there is to judge by; the live stream began `live_s` after the run did, at `live_ms` by the wall clock.

    `pooled` is what the pool holds in the end, `logged` what it has to hold by the log alone, `undisturbed` what the
    run without faults left there, if there was one. `published` are all cloud models. `problems` are those of the run
    itself: processes that ended badly, a system that did not come to rest.
    """

    history: History
    looks: Sequence[Look]
    states: Sequence[State]
    faults: Sequence[Done]
    predictions: pl.DataFrame
    pooled: Pooled
    logged: Pooled
    published: Set[ModelId]
    live_s: float
    live_ms: int
    healed_within_s: float
    problems: Sequence[str] = ()
    undisturbed: Pooled | None = None

    @property
    def began_s(self) -> float:
        """When the first fault did, of the run."""
        return min((fault.began_s for fault in self.faults), default=0.0)

    @property
    def ended_s(self) -> float:
        """When the last fault did."""
        return max((fault.ended_s for fault in self.faults), default=0.0)

    @property
    def window_ms(self) -> tuple[int, int]:
        """Both by the wall clock."""
        began_ms, ended_ms = (self.live_ms + round(1000 * (s - self.live_s)) for s in (self.began_s, self.ended_s))
        return began_ms, ended_ms


def judge(evidence: Evidence, arms: Arms) -> Verdict:
    """The verdict; `arms` are only passed on."""
    history, began_s, ended_s = evidence.history, evidence.began_s, evidence.ended_s
    events = fates_of_events(history, evidence.pooled.samples, evidence.window_ms)
    batches = fates_of_batches(history, evidence.window_ms)
    recovered_s = recovered_after_s(evidence.looks, evidence.states, began_s, ended_s)
    invariants = [
        *_about_events(events, evidence),
        *_about_batches(batches),
        *_about_models(evidence),
        *_about_reports(evidence),
        *_about_the_run(evidence, recovered_s),
    ]
    before = there_before(evidence.looks, began_s)
    left = [len(before & look.devices) for look in evidence.looks if began_s <= look.at_s <= ended_s + 1]
    return Verdict(
        ok=not any(invariant.problem for invariant in invariants),
        invariants=invariants,
        faults=list(evidence.faults),
        events=events,
        batches=batches,
        redelivered=history.delivered.total() - len(history.delivered),
        stability=stability(history, evidence.live_ms),
        back_s=back_after_s(evidence.looks, began_s, ended_s),
        recovered_s=recovered_s,
        devices_before=len(before),
        devices_left=min(left, default=len(before)),
        pool_digest=evidence.pooled.digest,
        reachable=[(s, len(look.devices)) for look in evidence.looks if (s := look.at_s - evidence.live_s) >= 0],
        ages=ages_over_time(history, evidence.live_ms),
        arms=arms,
    )


def _about_events(events: Fates, evidence: Evidence) -> list[Invariant]:
    history, predictions = evidence.history, evidence.predictions
    repeated = len(predictions) - predictions["event_id"].n_unique() if len(predictions) else 0
    one_sided = history.attempted.keys() ^ history.acknowledged.keys()
    found = [
        _holds("no-event-lost", "every event that a user did is in the pool, or refused by name", events.lost, "lost"),
        _holds("no-event-invented", "nothing is pooled that no user did", events.unexpected, "from nowhere"),
        _holds(
            "no-duplicate-effect",
            "every event is predicted once, and pooled or refused, not both",
            repeated + events.duplicated,
            "counted twice",
        ),
        _holds(
            "accounts-close",
            "what users did, what came up and what was replayed are the same events",
            len(one_sided) + abs(evidence.states[-1].produced - events.attempted),
            "on one side only",
        ),
    ]
    others = {"the log alone makes": evidence.logged, "the undisturbed run left": evidence.undisturbed}
    unlike = {
        whose: evidence.pooled.unlike(other, history.refused_of | history.restamped_of)
        for whose, other in others.items()
        if other is not None
    }
    promise = "the pool holds the samples, each with its history, that " + " and ".join(unlike)
    differ = [f"{n:,} samples are not those that {whose}" for whose, n in unlike.items() if n]
    return [*found, Invariant("convergence", promise, "; ".join(differ))]


def _about_batches(batches: Fates) -> list[Invariant]:
    return [
        _holds("newest-batch-wins", "every device ends on its newest batch", batches.lost, "devices without it"),
        _holds("no-batch-invented", "devices answer for batches that there were", batches.unexpected, "from nowhere"),
        _holds("accepted-once", "no device takes a batch twice", batches.duplicated, "taken twice"),
    ]


def _about_models(evidence: Evidence) -> list[Invariant]:
    promise = "batches and devices are of cloud models that were published, an answer of its batch's"
    back = "no device goes back, or is sent back, to an older cloud model"
    return [
        _holds("versions-never-mix", promise, mixed(evidence.history, evidence.published), "of another model"),
        _holds("monotonic-versions", back, went_back(evidence.history), "went back"),
    ]


def _about_reports(evidence: Evidence) -> list[Invariant]:
    """What devices say they predicted is what was predicted, unless they had no time to say it."""
    predictions = evidence.predictions
    counted = dict(predictions.group_by("user_id").len().iter_rows()) if len(predictions) else {}
    more = [user for user, report in evidence.history.reports.items() if report.events > counted.get(user, 0)]
    return [_holds("telemetry-adds-up", "no device reports more than it did", len(more), "devices that do")]


def _about_the_run(evidence: Evidence, recovered_s: float | None) -> list[Invariant]:
    faults, limit_s = evidence.faults, evidence.healed_within_s
    acted, idle = sum(f.acted for f in faults), idle_faults(faults)
    said = f"injected {len(faults)}, took effect {acted}: {idle[0]} did nothing" if idle else ""
    healed = ""
    if recovered_s is None:
        healed = f"not within {limit_s:g} s"
    elif recovered_s > limit_s:
        healed = f"only after {recovered_s:g} s"
    promise = f"all devices that were there are back, and nobody is behind, within {limit_s:g} s of the last fault"
    return [
        Invariant("every-fault-acted", "what was broken was seen to be broken", said),
        Invariant("healed-in-time", promise, healed),
        Invariant(
            "every-wait-ends", "the system comes to rest, and its processes end in order", "; ".join(evidence.problems)
        ),
    ]


def idle_faults(faults: Sequence[Done]) -> list[str]:
    """Names of faults that did nothing though there was somebody, or that found nobody each time."""
    names = dict.fromkeys(f.name for f in faults)
    acted = {f.name for f in faults if f.acted}
    failed = {f.name for f in faults if not f.acted and f.effect.there}
    return [name for name in names if name in failed or name not in acted]


def _holds(name: str, promise: str, broken: int, what: str) -> Invariant:
    return Invariant(name, promise, f"{broken:,} {what}" if broken else "")
