"""The section of a report on what was broken on purpose, and what came of it."""

from collections.abc import Sequence

import msgspec

from monitor.as_html import as_html
from monitor.report import section, table
from streams.faults.conductor import Done
from streams.faults.fates import Fates
from streams.faults.personalisation import Arms
from streams.faults.stability import Stability
from streams.faults.timeline import Course, timeline_plots
from streams.faults.verdict import Verdict

_WORDS = (
    "Faults are shaded. Grey, where there is one, is the same run without faults. Lost would be: a user did it, and it "
    "is neither in the pool nor refused by name; a batch: the newest of its device, and never answered."
)


def outage_section(run: Course, undisturbed: Course | None = None) -> str:
    """HTML; `undisturbed` is the same run without faults, if there was one."""
    verdict = run.verdict
    parts = [
        _side_by_side(*timeline_plots(run, undisturbed), kind="figures"),
        f"<p>{as_html(closing_words(verdict))}</p>",
        _side_by_side(_faults(verdict.faults), _fates(verdict)),
        _stability(verdict.stability),
        _arms(verdict.arms),
        _invariants(verdict),
    ]
    return section("Dropped devices and other faults", _WORDS, *parts)


def closing_words(verdict: Verdict) -> str:
    """What to know in a sentence or two."""
    back = "never all back" if verdict.back_s is None else f"all back {verdict.back_s:g} s later"
    healed = "never all as before" if verdict.recovered_s is None else f"all as before {verdict.recovered_s:g} s later"
    up, down, stale = verdict.stability.uploaded, verdict.stability.answered, verdict.stability.stale_reads
    return (
        f"{verdict.devices_left:,} of {verdict.devices_before:,} devices at the worst moment, {back}, {healed}. "
        f"A user's event reached the cloud after {up.p50_s:.2f} s (p50) and {up.p99_s:.1f} s (p99), "
        f"a batch its device after {down.p50_s:.2f} s and {down.p99_s:.1f} s; "
        f"{stale.count:,} batches were taken though a newer one was there; "
        f"{verdict.redelivered:,} events came to Kafka twice and counted once."
    )


def verdict_lines(verdict: Verdict) -> list[str]:
    """The verdict on a terminal: faults, fates, one line per invariant."""
    lines = [
        f"{name}: injected {n:,}, took effect {acted:,}{f', did nothing {n - acted:,}' if n > acted else ''} ({words})"
        for name, (n, acted, words) in summed(verdict.faults).items()
    ]
    for what, fates in (("events", verdict.events), ("batches", verdict.batches)):
        lines.append(f"{what}: " + ", ".join(f"{n:,} {name}" for name, n in msgspec.structs.asdict(fates).items()))
    lines += [closing_words(verdict)]
    lines += [
        f"GAUC {whose}: " + ", ".join(f"{name} {arm.gauc:.4f}" for name, arm in arms.items())
        for whose, arms in verdict.arms.items()
    ]
    lines += [f"{'✘' if i.problem else '✔'} {i.name}: {i.problem or i.promise}" for i in verdict.invariants]
    return lines


def summed(faults: Sequence[Done]) -> dict[str, tuple[int, int, str]]:
    """By the name of a fault: injected, took effect, and what was seen of all of them together."""
    found: dict[str, list[Done]] = {}
    for fault in faults:
        found.setdefault(fault.name, []).append(fault)
    sums = {}
    for name, members in found.items():
        total = type(members[0].effect)()
        for member in members:
            total.add(member.effect)
        sums[name] = (len(members), sum(m.acted for m in members), total.words())
    return sums


def _side_by_side(*parts: str, kind: str = "") -> str:
    return f'<div class="columns {kind}">' + "".join(parts) + "</div>"


def _wide(part: str, kind: str = "") -> str:
    """Scrolls by itself where the page is narrower than it."""
    return f'<div class="wide {kind}">{part}</div>'


def _faults(faults: Sequence[Done]) -> str:
    rows = [(name, str(n), str(acted), words) for name, (n, acted, words) in summed(faults).items()]
    return _wide(table(("fault", "injected", "took effect", "seen"), rows))


def _fates(verdict: Verdict) -> str:
    names = Fates.__struct_fields__
    rows = [(name, f"{getattr(verdict.events, name):,}", f"{getattr(verdict.batches, name):,}") for name in names]
    return _wide(table(("", "events", "batches"), rows))


def _stability(found: Stability) -> str:
    words = {
        "uploaded": "an event is in Kafka",
        "pooled": "an event is in the pool",
        "answered": "a batch is answered by its device",
        "stale_reads": "batches taken too late: a newer one was there for",
    }
    rows = [
        (said, f"{spread.count:,}", f"{spread.p50_s:.2f} s", f"{spread.p99_s:.2f} s")
        for said, spread in ((words[name], getattr(found, name)) for name in found.__struct_fields__)
    ]
    return _wide(table(("time until stable", "n", "p50", "p99"), rows))


def _arms(arms: Arms) -> str:
    if not arms:
        return ""
    names = list(next(iter(arms.values())))
    rows = [(arm, *(f"{of[arm].gauc:.4f} ({of[arm].gauc_gain:+.4f})" for of in arms.values())) for arm in names]
    return _wide(table((f"GAUC (minus {names[0]})", *arms), rows))


def _invariants(verdict: Verdict) -> str:
    """Those that were broken first, in a table of their own."""
    header = ("invariant", "", "verdict")
    broken = [(i.name, i.promise, i.problem) for i in verdict.invariants if i.problem]
    kept = [(i.name, i.promise, "holds") for i in verdict.invariants if not i.problem]
    parts = [(broken, "words bad"), (kept, "words")]
    return "".join(_wide(table(header, rows), kind) for rows, kind in parts if rows)
