"""What a log holds and whether it is large enough to conclude anything: `coda data check`."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from streams.logs.event_log import NO_POSITIVES, EventLog, LogBatch, count_duplicates, only_positives
from streams.logs.event_time import implausible
from streams.logs.rejected import Rejected
from streams.logs.slices import INITIAL_SHARE
from streams.times import moment
from wire.arrays import I64
from wire.decoder import printable

USERS_NEEDED = 30  # with fewer, the interval of a mean over users says next to nothing
_EXAMPLE_CHARS = 80
# What a reason says of its own row: without it rows are alike.
_OF_ONE_ROW = re.compile(r"is .*, not|\d+ (?=bytes long|fields where)| \(byte \d+\)")
_DAY_MS = 23 * 3_600_000  # the shortest: one on which the clock is put forward
_DAYS_ONLY = (
    "times say the day and no more: all that happens in one counts as one moment, from which nothing is learned before "
    "it is over, so how fresh batches have to be cannot be told"
)
_DOMINANT = 0.1  # of all events: of `USERS_NEEDED` users each has a thirtieth on the average
_PARTS = 60  # of the span: a bar is then some pixels wide in a report


@dataclass(frozen=True)
class Reason:
    """Rows that were rejected alike: how many, and the first of them."""

    rows: int
    reason: str
    line: int
    example: str


@dataclass(frozen=True)
class LogCheck:
    """Figures of a log; times are Unix ms, shares are of all events.

    `over_time` are events in equal parts of the span, `by_events` are users with 1, 2-3, 4-7, 8-15, … events.
    """

    said: str
    read_as: str
    events: int
    users: int
    items: int
    first_ms: int
    last_ms: int
    at_first: int  # events of the first moment
    days_only: bool  # times say the day and no more
    positives: int
    users_with_both: int
    per_user: tuple[int, int, int]  # events: p10, p50, p90
    busiest: int  # events of the user with the most
    repeats: float  # the user had taken the item before
    duplicates: int  # equal to an earlier event in user, item, type and time
    out_of_order: int  # earlier than the event before
    unmatched: str  # what of --positive is no event, with what there is instead
    rejected: tuple[Reason, ...]
    over_time: tuple[int, ...]
    by_events: tuple[int, ...]
    negatives: int = 0  # that every positive is to be given

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self) | {"verdict": self.verdict}

    @property
    def verdict(self) -> str:
        """Whether the log can answer anything."""
        if not self.events:
            return "no event can be read"
        if odd := implausible(self.first_ms, self.last_ms) or self._without_beginning:
            return odd
        if not self.positives:
            return self.unmatched or NO_POSITIVES
        if self.positives == self.events:
            sampled = f"all events are positives: negatives are sampled, {self.negatives} for each"
            return sampled if self.negatives else only_positives(self.said)
        if self.users_with_both < USERS_NEEDED:
            return too_few(self.users_with_both)
        return f"large enough to compare models: {self.users_with_both:,} users with both labels"

    @property
    def _without_beginning(self) -> str:
        """As `slices.first_of_tail` has it: events of one moment stay together."""
        if self.at_first <= int(self.events * INITIAL_SHARE):
            return ""
        return (
            f"{self.at_first:,} of {self.events:,} events are of the first moment, {moment(self.first_ms)}: there is "
            "nothing before the others to learn from"
        )

    def lines(self) -> Iterator[str]:
        """What a person reads."""
        yield from self.figures()
        for each in self.rejected:
            yield f"{_rows(each.rows)} rejected: {each.reason} (line {each.line}: {each.example})"
        if self.unmatched and self.positives:
            yield self.unmatched
        yield self.verdict

    def figures(self) -> Iterator[str]:
        """What was taken for what, and what there is of it."""
        yield self.read_as
        if self.events:
            p10, p50, p90 = self.per_user
            yield f"{self.events:,} events; {self.users:,} users, {self.items:,} items"
            yield f"from {moment(self.first_ms)} to {moment(self.last_ms)}"
            if self.days_only:
                yield _DAYS_ONLY
            yield f"{self.positives:,} positive{'s' * (self.positives != 1)} ({self.positives / self.events:.1%})"
            yield f"events per user: {p10:,} / {p50:,} / {p90:,} (p10, p50, p90)"
            if self.users >= USERS_NEEDED and self.busiest >= _DOMINANT * self.events:
                yield (
                    f"one user has {self.busiest / self.events:.0%} of all events, and weighs as much in what is "
                    "measured: if that is nobody, such as a bot or who is not logged in, leave it out"
                )
            yield f"repeats {self.repeats:.1%}, duplicates {self.duplicates:,}, out of order {self.out_of_order:,}"


def too_few(users_with_both: int) -> str:
    """What there is to say where figures of so few users would say nothing."""
    return f"too few users to tell ({users_with_both} with both labels; {USERS_NEEDED} needed)"


def check_log(log: EventLog) -> LogCheck:
    """Read the whole log and count; raises `InputError` when it is damaged."""
    return check_of(log, list(log.batches()))


def check_of(log: EventLog, batches: list[LogBatch]) -> LogCheck:
    """The figures of a log that was read into `batches`."""
    events = pl.concat([batch.events for batch in batches]).drop("event_id", "context")
    users = events.group_by("user_id").agg(pl.len().alias("events"), pl.col("label").n_unique().alias("labels"))
    positives = int(events["label"].sum())
    per_user = [users["events"].quantile(share, "nearest") or 0 for share in (0.1, 0.5, 0.9)]
    return LogCheck(
        said=log.said,
        read_as=str(log),
        events=events.height,
        users=users.height,
        items=events["item_id"].n_unique(),
        first_ms=int(events["timestamp"].min() or 0),  # type: ignore[arg-type]  # polars types it as any value
        last_ms=int(events["timestamp"].max() or 0),  # type: ignore[arg-type]
        days_only=_days_only(events["timestamp"]),
        at_first=events.filter(pl.col("timestamp") == pl.col("timestamp").min()).height,
        positives=positives,
        users_with_both=int((users["labels"] > 1).sum()),
        per_user=(int(per_user[0]), int(per_user[1]), int(per_user[2])),
        busiest=int(users["events"].max() or 0),  # type: ignore[arg-type]
        repeats=_share_of_repeats(events),
        duplicates=count_duplicates(events),
        out_of_order=int((events["timestamp"].diff() < 0).sum()),
        unmatched=log.unmatched(events["event_type"].unique(), positives) if events.height else "",
        rejected=_reasons(batches),
        over_time=_over_time(events["timestamp"].to_numpy()),
        by_events=tuple(np.bincount(np.log2(users["events"].to_numpy()).astype(np.int64)).tolist()),
    )


def _days_only(times: pl.Series) -> bool:
    """Whether no two moments are less than a day apart, though events share them."""
    apart = times.unique().sort().diff().drop_nulls()
    return 0 < 2 * len(apart) < len(times) and bool((apart >= _DAY_MS).all())


def _over_time(times: I64) -> tuple[int, ...]:
    return tuple(np.histogram(times, _PARTS)[0].tolist()) if len(times) else ()


def _share_of_repeats(events: pl.DataFrame) -> float:
    if not events.height:
        return 0.0
    first = pl.col("timestamp").filter(pl.col("label") == 1).min().over("user_id", "item_id")
    return float(events.select((first < pl.col("timestamp")).fill_null(value=False).mean()).item())


def _reasons(batches: list[LogBatch]) -> tuple[Reason, ...]:
    alike: dict[str, list[Rejected]] = {}
    for batch in batches:
        for row in batch.rejected:
            alike.setdefault(_OF_ONE_ROW.sub(_blank, row.reason), []).append(row)
    counted = sorted(alike.items(), key=lambda item: -len(item[1]))
    return tuple(Reason(len(rows), reason, rows[0].line, _shown(rows[0].raw)) for reason, rows in counted)


def _blank(found: re.Match[str]) -> str:
    return "is …, not" if found[0].startswith("is") else "" if found[0].startswith(" (byte") else "… "


def _shown(raw: bytes) -> str:
    return printable(raw[: 4 * _EXAMPLE_CHARS].decode(errors="replace"))[:_EXAMPLE_CHARS]


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number:,} rows"
