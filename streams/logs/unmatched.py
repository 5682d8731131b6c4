"""A `--positive` that no event of the log is: what to say of it, with what the events are instead."""

from collections import Counter
from collections.abc import Iterable

from streams.logs.columns import Rows
from streams.logs.labels import LabelRule

_SHOWN = 8


def unmatched_types(rule: LabelRule, occurring: Iterable[str]) -> list[str]:
    """The event types of a rule that are not among those `occurring`, in any case."""
    known = {kind.lower() for kind in occurring}
    return sorted(kind for kind in rule.types if kind.lower() not in known)


def unmatched(rule: LabelRule, missing: list[str], log: Iterable[Rows]) -> str:
    """One line: what the rule, or its types that are `missing`, matches nowhere, and what the rows of `log` hold."""
    counts: Counter[str] = Counter()
    for rows in log:
        counts.update(dict(rows.columns[rule.reads].drop_nulls().value_counts().iter_rows()))
    said = "".join(rule.comparison) if rule.comparison else " or ".join(missing)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    held = ", ".join(f"{value} ({count:,})" for value, count in ranked[:_SHOWN]) or "no values"
    others = f" and {len(counts) - _SHOWN:,} others" if len(counts) > _SHOWN else ""
    return f"no event is {said}, as --positive asks: there are {held}{others}"
