"""The verdict on a run with faults: what became of each event and batch, how soon all was well, what was broken."""

from collections.abc import Sequence

import msgspec
import numpy as np
import polars as pl

from monitor.state import State
from streams.faults.conductor import Done
from streams.faults.history import History

CALM_LOOKS = 3  # so many looks in a row as before the faults: recovered
FEW_EVENTS = 50  # of lag are as good as none: what comes within a look


class Fates(msgspec.Struct, frozen=True, kw_only=True):
    """What became of what was attempted, in Jepsen's words.

    `lost`: acknowledged (or, with a device to answer for it, attempted) and gone. `unexpected`: there though nobody
    attempted it. `duplicated`: there more than once, with effect. `recovered`: begun while faults were on, done after.
    """

    attempted: int
    acknowledged: int
    lost: int
    unexpected: int
    duplicated: int
    recovered: int


class Invariant(msgspec.Struct, frozen=True):
    """One thing that has to hold; `problem` is "" when it did."""

    name: str
    promise: str
    problem: str = ""


class Spread(msgspec.Struct, frozen=True):
    """p50 and p99 of something in seconds, and of how many."""

    count: int
    p50_s: float
    p99_s: float


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """All that can be said; `ok` when no invariant was broken."""

    ok: bool
    invariants: list[Invariant]
    faults: list[Done]
    events: Fates
    batches: Fates
    redelivered: int
    stale_reads: int
    to_device: Spread
    to_cloud: Spread
    recovered_s: float | None
    fewest_devices: int
    most_devices: int

    def broken(self) -> list[str]:
        """One line for each invariant that did not hold."""
        return [f"{i.name}: {i.problem}" for i in self.invariants if i.problem]


def fates_of_events(history: History, window_ms: tuple[int, int]) -> Fates:
    """Of every event that a user did: it has to be in Kafka and then in the pool, or refused by name."""
    done = history.pooled.keys() | history.refused
    return Fates(
        attempted=len(history.attempted),
        acknowledged=len(history.acknowledged),
        lost=len((history.attempted.keys() | history.acknowledged.keys()) - done),
        unexpected=len(done - history.attempted.keys() - history.acknowledged.keys()) + len(
            history.acknowledged.keys() - history.attempted.keys()
        ),
        duplicated=len(history.pooled.keys() & history.refused),
        recovered=sum(
            window_ms[0] <= at_ms < window_ms[1] <= history.acknowledged.get(key, 0)
            for key, at_ms in history.attempted.items()
        ),
    )  # fmt: skip


def fates_of_batches(history: History, window_ms: tuple[int, int]) -> Fates:
    """Of every batch: its device answered for it, or for a newer one; the newest of each device has to be answered."""
    newest: dict[str, int] = {}
    for device, seq in history.batches:
        newest[device] = max(seq, newest.get(device, seq))
    told = {batch: at_ms for batch, at_ms in history.answers.items() if batch[1] >= 0}
    standing = {(device, report.answered_seq) for device, report in history.reports.items()}
    return Fates(
        attempted=len(history.batches),
        acknowledged=len(told),
        lost=len(set(newest.items()) - told.keys() - standing),
        unexpected=len(told.keys() - history.batches.keys()),
        duplicated=sum(len(counts) > 1 for counts in history.accepted.values()),
        recovered=sum(
            window_ms[0] <= at_ms < window_ms[1] <= told.get(batch, 0) for batch, at_ms in history.batches.items()
        ),
    )


def recovered_after_s(states: Sequence[State], began_s: float, ended_s: float) -> float | None:
    """How long after the last fault all was as before the first: devices there, nobody behind; None when never."""
    before = [s for s in states if s.elapsed_s < began_s] or list(states[:1])
    devices = before[-1].devices_connected
    behind = max([FEW_EVENTS, *(sum(s.lag_events.values()) for s in before[-10:])])
    calm: list[State] = []
    for state in states:
        if state.elapsed_s < ended_s:
            continue
        well = state.devices_connected >= devices and sum(state.lag_events.values()) <= behind
        calm = [*calm, state] if well else []
        if len(calm) >= CALM_LOOKS:
            return round(calm[0].elapsed_s - ended_s, 1)
    return None


def judge(
    *,
    history: History,
    states: Sequence[State],
    faults: Sequence[Done],
    predictions: pl.DataFrame,
    window_ms: tuple[int, int],
    healed_within_s: float,
    problems: Sequence[str],
) -> Verdict:
    """The verdict; `window_ms` is when the first fault began and the last one ended, wall clock.

    `problems` are those of the run itself: processes that ended badly, a system that did not come to rest.
    """
    events, batches = fates_of_events(history, window_ms), fates_of_batches(history, window_ms)
    began_s, ended_s = min((f.began_s for f in faults), default=0.0), max((f.ended_s for f in faults), default=0.0)
    recovered_s = recovered_after_s(states, began_s, ended_s)
    invariants = [
        *_about_events(events, history, predictions, states[-1].produced),
        *_about_batches(batches),
        *_about_reports(history, predictions),
        *_about_the_run(faults, recovered_s, healed_within_s, problems),
    ]
    during = [s.devices_connected for s in states if began_s <= s.elapsed_s <= ended_s + 1]
    return Verdict(
        ok=not any(invariant.problem for invariant in invariants),
        invariants=invariants,
        faults=list(faults),
        events=events,
        batches=batches,
        redelivered=history.delivered.total() - len(history.delivered),
        stale_reads=_stale_reads(history),
        to_device=_spread([t - history.batches[b] for b, t in history.answers.items() if b in history.batches]),
        to_cloud=_spread([t - history.attempted[k] for k, t in history.acknowledged.items() if k in history.attempted]),
        recovered_s=recovered_s,
        fewest_devices=min(during, default=0),
        most_devices=max((s.devices_connected for s in states), default=0),
    )


def _about_events(events: Fates, history: History, predictions: pl.DataFrame, produced: int) -> list[Invariant]:
    repeated = len(predictions) - predictions["event_id"].n_unique() if len(predictions) else 0
    return [
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
            len(history.attempted.keys() ^ history.acknowledged.keys()) + abs(produced - events.attempted),
            "on one side only",
        ),
    ]


def _about_batches(batches: Fates) -> list[Invariant]:
    return [
        _holds("newest-batch-wins", "every device ends on its newest batch", batches.lost, "devices without it"),
        _holds("no-batch-invented", "devices answer for batches that there were", batches.unexpected, "from nowhere"),
        _holds("accepted-once", "no device takes a batch twice", batches.duplicated, "taken twice"),
    ]


def _about_reports(history: History, predictions: pl.DataFrame) -> list[Invariant]:
    """What devices say they predicted is what was predicted, unless they had no time to say it."""
    counted = dict(predictions.group_by("user_id").len().iter_rows()) if len(predictions) else {}
    more = [user for user, report in history.reports.items() if report.events > counted.get(user, 0)]
    return [_holds("telemetry-adds-up", "no device reports more than it did", len(more), "devices that do")]


def _about_the_run(
    faults: Sequence[Done], recovered_s: float | None, healed_within_s: float, problems: Sequence[str]
) -> list[Invariant]:
    acted, idle = sum(f.acted for f in faults), idle_faults(faults)
    said = f"injected {len(faults)}, took effect {acted}: {idle[0]} did nothing" if idle else ""
    healed = ""
    if recovered_s is None:
        healed = f"not within {healed_within_s:g} s"
    elif recovered_s > healed_within_s:
        healed = f"only after {recovered_s:g} s"
    return [
        Invariant("every-fault-acted", "what was broken was seen to be broken", said),
        Invariant("healed-in-time", f"all as before within {healed_within_s:g} s of the last fault", healed),
        Invariant("every-wait-ends", "the system comes to rest, and its processes end in order", "; ".join(problems)),
    ]


def idle_faults(faults: Sequence[Done]) -> list[str]:
    """Names of faults that did nothing though there was somebody, or that found nobody each time."""
    names = dict.fromkeys(f.name for f in faults)
    acted = {f.name for f in faults if f.acted}
    failed = {f.name for f in faults if not f.acted and f.effect.there}
    return [name for name in names if name in failed or name not in acted]


def _holds(name: str, promise: str, broken: int, what: str) -> Invariant:
    return Invariant(name, promise, f"{broken:,} {what}" if broken else "")


def _stale_reads(history: History) -> int:
    """Batches that a device accepted when a newer one had been there for two seconds."""
    latest: dict[str, list[tuple[int, int]]] = {}
    for (device, seq), at_ms in history.batches.items():
        latest.setdefault(device, []).append((seq, at_ms))
    return sum(
        any(other > seq and at_ms + 2000 < history.answers[device, seq] for other, at_ms in latest.get(device, []))
        for device, seq in history.accepted.keys() & history.answers.keys()
    )


def _spread(ages_ms: Sequence[int]) -> Spread:
    if not ages_ms:
        return Spread(0, 0.0, 0.0)
    p50, p99 = np.quantile(np.array(ages_ms) / 1000, (0.5, 0.99))
    return Spread(len(ages_ms), round(float(p50), 3), round(float(p99), 3))
