"""What there is to see: each view is a table made of the picture, with a word for each row that has one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.definition import Definition
from monitor.metrics import USE_BUCKETS_S, Metrics, pairs
from monitor.stages import OF
from monitor.use import BUCKETS, used
from monitor.words import Word
from streams.times import span
from streams.watch import results
from streams.watch.picture import Picture, ProcessView, StageView

WELL = frozenset({None, Word.FRESH, Word.IDLE})


@dataclass(frozen=True, slots=True)
class Row:
    """Cells as text, and how what it is about is."""

    cells: tuple[str, ...]
    word: Word | None = None


@dataclass(frozen=True, slots=True)
class View:
    """One table: its name is what is typed to go there."""

    name: str
    columns: tuple[str, ...]
    rows: Callable[[Picture], list[Row]]


def _stages(picture: Picture) -> list[Row]:
    return [Row((stage.stage, stage.word, *_figures(stage), _rule(stage)), stage.word) for stage in picture.stages]


def _figures(stage: StageView) -> tuple[str, ...]:
    ages = (span(stage.ages.p50_s), span(stage.ages.p99_s)) if stage.ages else ("–", "–")
    return f"{stage.per_s:,.1f}", f"{stage.behind:,}", span(stage.local_s), span(stage.global_s), *ages


def _rule(stage: StageView) -> str:
    return stage.rule + (f" (all done in {span(stage.left_s)})" if stage.left_s is not None else "")


def _partitions(picture: Picture) -> list[Row]:
    return [
        Row(
            (
                stage.stage,
                "all" if p.partition < 0 else str(p.partition),
                p.word,
                f"{p.per_s:,.1f}",
                f"{p.behind:,}",
                span(p.age_s),
                span(p.left_s),
                p.rule,
            ),
            p.word,
        )
        for stage in picture.stages
        for p in stage.partitions
    ]


def _groups(picture: Picture) -> list[Row]:
    """Each group of devices: how it is, how many there are and are connected, what coda adds for them."""
    groups = {stage.stage.partition(OF)[2]: stage for stage in picture.groups}  # in the order in which fleets tell them
    there, connected = (picture.by(each, "devices") for each in (Metrics.devices, Metrics.group_connected))
    return [
        Row(
            (
                group,
                stage.word,
                f"{there.get(group, 0):,.0f}",
                _share(connected.get(group, 0), there.get(group, 0)),
                f"{stage.per_s:,.1f}",
                f"{stage.behind:,}",
                span(stage.age_s),
                *results.lately(picture, "coda", group),
                stage.rule,
            ),
            stage.word,
        )
        for group, stage in groups.items()
    ]


def _share(part: float, whole: float) -> str:
    return f"{part:,.0f} ({part / whole:.0%})" if whole else f"{part:,.0f}"


def _processes(picture: Picture) -> list[Row]:
    return [
        Row(
            (
                process.key,
                _state(process),
                span((picture.at_ms - process.since_ms) / 1000),
                "–" if process.cores is None else f"{process.cores:.2f}",
                process.warnings[-1] if process.warnings else "",
            ),
            Word.FRESH if process.up else Word.DOWN,
        )
        for process in picture.processes
    ]


def _state(process: ProcessView) -> str:
    """What it is, as far as can be told."""
    if process.ended:
        return "ended"
    return f"silent since {span(process.silent_s)}" if process.silent_s else "up"


def _of(*shown: Definition[Any]) -> Callable[[Picture], list[Row]]:
    """Rows of these metrics: each series that is not zero, with what a metric is in its own words."""

    def rows(picture: Picture) -> list[Row]:
        return [row for metric in shown for row in _series(picture, metric)]

    return rows


def _series(picture: Picture, metric: Definition[Any]) -> list[Row]:
    name, words = metric.name, metric.means
    series = sorted(picture.series(metric).items(), key=lambda each: -each[1])
    shown = span if name.endswith("_seconds") else "{:,.0f}".format
    return [Row((_labels(labels), shown(value), words, name)) for labels, value in series]


def _labels(labels: str) -> str:
    return " ".join(pairs(labels).values()) or "all"


def _use(picture: Picture) -> list[Row]:
    return [
        Row((each.use, f"{each.count:,}", *(f"{share:.0%}" for share in each.older.values())))
        for each in used(picture.totals.get(BUCKETS, {}))
    ]


def _rows(cells: Callable[[Picture], list[tuple[str, ...]]]) -> Callable[[Picture], list[Row]]:
    return lambda picture: [Row(each) for each in cells(picture)]


def _faults(picture: Picture) -> list[Row]:
    said = [
        Row((process.key, warning, "a warning", ""), Word.STALLED)
        for process in picture.processes
        for warning in process.warnings
    ]
    if picture.refused:
        words = "messages of the topic status are none: somebody else writes to it, or another version of ours"
        said.append(Row(("status", f"{picture.refused:,}", words, ""), Word.STALLED))
    counted = _of(
        Metrics.faults_begun,
        Metrics.faults_over,
        Metrics.rejected,
        Metrics.requests_rejected,
        Metrics.tunnel_rejected,
        Metrics.mqtt_failures,
        Metrics.mqtt_refused,
        Metrics.models_refused,
        Metrics.matches_given_up,
        Metrics.reports_passed_over,
    )
    return said + counted(picture)


_COUNTED = ("what", "how many", "which are", "metric")
OVERVIEW = View("overview", ("stage", "word", "per s", "behind", "own lag", "lag", "p50", "p99", "rule"), _stages)
PROCESSES = View("processes", ("process", "is", "up for", "cores", "says"), _processes)
VIEWS: Sequence[View] = (
    OVERVIEW,
    View("partitions", ("stage", "partition", "word", "per s", "behind", "age", "done in", "rule"), _partitions),
    PROCESSES,
    View(
        "pool",
        _COUNTED,
        _of(
            Metrics.pool_live,
            Metrics.pooled,
            Metrics.samples_waiting,
            Metrics.matches,
            Metrics.matches_given_up,
            Metrics.matches_withheld,
            Metrics.users,
            Metrics.items,
        ),
    ),
    View(
        "devices",
        _COUNTED,
        _of(
            Metrics.devices_connected,
            Metrics.devices_aside,
            Metrics.devices_unproven,
            Metrics.pushes,
            Metrics.push_outcomes,
            Metrics.pushes_outstanding,
            Metrics.batches,
            Metrics.trainings,
            Metrics.device_outcomes,
            Metrics.mqtt_failures,
        ),
    ),
    View(
        "groups",
        (
            *("devices", "word", "there", "connected", "trained per s", "due", "age"),
            *("coda lately − base, 95 %", "harmed", "calibration", "rule"),
        ),
        _groups,
    ),
    View("use", ("use", "how many", *(f"> {span(bound)}" for bound in USE_BUCKETS_S)), _use),
    View(
        "canary",
        _COUNTED,
        _of(
            Metrics.canaries_sent,
            Metrics.canaries_arrived,
            Metrics.canaries_lost,
            Metrics.canaries_in_flight,
            Metrics.canary_s,
        ),
    ),
    View("arms", results.ARMS, _rows(results.arms)),
    View("drift", results.DRIFT, _rows(results.drift)),
    View("faults", _COUNTED, _faults),
)


def shown(
    view: View, picture: Picture, *, holding: str = "", ill_only: bool = False, by: int | None = None
) -> list[Row]:
    """The rows of a view that hold these characters, perhaps only what is not well, sorted by a column."""
    rows = [row for row in view.rows(picture) if holding.lower() in " ".join(row.cells).lower()]
    rows = [row for row in rows if not ill_only or row.word not in WELL]
    return rows if by is None else sorted(rows, key=lambda row: _order(row.cells[by]), reverse=True)


_SCALES = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def _order(cell: str) -> tuple[float, str]:
    """Numbers and shares by size, spans of time by length, then words.

    >>> _order("1 min 15 s")[0], _order("1,200 (8%)")[0], _order("8%")[0], _order("flow/0")
    (75.0, 1200.0, 8.0, (-inf, 'flow/0'))
    """
    words = cell.replace(",", "").split(" ")
    try:
        if all(unit in _SCALES for unit in words[1::2]) and len(words) > 1:
            return sum(float(n) * _SCALES[unit] for n, unit in zip(words[::2], words[1::2], strict=True)), ""
        return float(words[0].removesuffix("%")), ""
    except ValueError:
        return float("-inf"), cell
