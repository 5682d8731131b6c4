"""The section of a report on what was broken on purpose, and what came of it."""

from collections.abc import Mapping, Sequence
from html import escape

import msgspec

from monitor.arms import ArmResult
from monitor.report import section, table
from monitor.state import State
from streams.faults.conductor import Done
from streams.faults.timeline import timeline_plot
from streams.faults.verdict import Fates, Verdict

_WORDS = (
    "Faults are shaded. Grey, where there is one, is the same run without faults. Lost would be: a user did it, and it "
    "is neither in the pool nor refused by name; a batch: the newest of its device, and never answered."
)


def outage_section(
    verdict: Verdict,
    states: Sequence[State],
    arms: Mapping[str, Mapping[str, ArmResult]],
    undisturbed: Sequence[State] = (),
) -> str:
    """HTML. `arms` are the arms' results by whose they are, such as `disturbed` and `undisturbed`."""
    parts = [
        timeline_plot(states, verdict.faults, undisturbed),
        f"<p>{escape(closing_words(verdict))}</p>",
        '<div class="columns">' + _faults(verdict.faults) + _fates(verdict) + "</div>",
        _arms(arms),
        _invariants(verdict),
    ]
    return section("Dropped devices and other faults", _WORDS, *parts)


def closing_words(verdict: Verdict) -> str:
    """What to know in a sentence or two."""
    healed = "never all as before" if verdict.recovered_s is None else f"all as before {verdict.recovered_s:g} s later"
    up, down = verdict.to_cloud, verdict.to_device
    return (
        f"{verdict.fewest_devices:,} of {verdict.most_devices:,} devices at the worst moment, {healed}. "
        f"A user's event reached the cloud after {up.p50_s:.2f} s (p50) and {up.p99_s:.1f} s (p99), "
        f"a batch its device after {down.p50_s:.2f} s and {down.p99_s:.1f} s; "
        f"{verdict.stale_reads:,} batches were taken though a newer one was there; "
        f"{verdict.redelivered:,} events came to Kafka twice and counted once."
    )


def verdict_lines(verdict: Verdict) -> list[str]:
    """The verdict on a terminal: faults, fates, one line per invariant."""
    lines = [
        f"{name}: injected {n:,}, took effect {acted:,}{f', found nobody {n - acted:,}' if n > acted else ''} ({words})"
        for name, (n, acted, words) in summed(verdict.faults).items()
    ]
    for what, fates in (("events", verdict.events), ("batches", verdict.batches)):
        lines.append(f"{what}: " + ", ".join(f"{n:,} {name}" for name, n in msgspec.structs.asdict(fates).items()))
    lines += [closing_words(verdict)]
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


def _faults(faults: Sequence[Done]) -> str:
    rows = [(name, str(n), str(acted), words) for name, (n, acted, words) in summed(faults).items()]
    return table(("fault", "injected", "took effect", "seen"), rows)


def _fates(verdict: Verdict) -> str:
    names = Fates.__struct_fields__
    rows = [(name, f"{getattr(verdict.events, name):,}", f"{getattr(verdict.batches, name):,}") for name in names]
    return table(("", "events", "batches"), rows)


def _arms(arms: Mapping[str, Mapping[str, ArmResult]]) -> str:
    if not all(arms.values()) or not arms:
        return ""
    names = list(next(iter(arms.values())))
    rows = [(arm, *(f"{of[arm].gauc:.4f} ({of[arm].gauc_gain:+.4f})" for of in arms.values())) for arm in names]
    return table(("GAUC (minus cloud)", *arms), rows)


def _invariants(verdict: Verdict) -> str:
    rows = [(i.name, i.promise, i.problem or "holds") for i in verdict.invariants]
    return table(("invariant", "", "verdict"), rows)
