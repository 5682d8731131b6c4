"""What a browser is told each second, and what it missed (sans-I/O): figures to draw over time, and tables as they are.

A frame is made of a picture alone, so a run that was recorded has the same frames as one that is watched.
"""

from collections import deque
from collections.abc import Iterator

import msgspec

from monitor.metrics import Metrics, pairs
from monitor.use import BUCKETS, used
from streams.dashboard.marks import Happenings, Mark
from streams.watch.picture import Picture, StageView
from streams.watch.views import VIEWS, View

KEPT = 900  # frames: a quarter of an hour, 8 kB each
ENDING_MS = 60_000  # how long the processes of a run may take to end, one after the other
Series = dict[str, float]


class Table(msgspec.Struct, frozen=True):
    """One view of `coda watch`: its columns, its rows as text, and a word for each row that has one."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    words: list[str]


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage as the graph shows it; `until_ms` is the moment up to which it is done, 0 if that is not known."""

    name: str
    word: str
    rule: str
    per_s: float
    behind: int
    local_s: float | None
    until_ms: int


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at `at_ms`; `series` are figures to draw over time, by `panel/line`; `marks` are new."""

    number: int
    at_ms: int
    cause: str
    remedy: str
    up: int
    processes: int
    stages: list[Stage]
    older: dict[str, dict[float, float]]
    tables: dict[str, Table]
    series: Series
    marks: list[Mark]


class Frames:
    """Makes frames of pictures as they come, and keeps the newest `KEPT`."""

    def __init__(self, kept: int = KEPT) -> None:
        self._frames: deque[Frame] = deque(maxlen=kept)
        self._marks: deque[Mark] = deque(maxlen=200)
        self._happenings = Happenings()
        self._made = 0

    @property
    def newest(self) -> Frame | None:
        """The last one."""
        return self._frames[-1] if self._frames else None

    def take(self, picture: Picture) -> None:
        """The frame of this picture, which comes after the last one."""
        self._made += 1
        marks = list(self._happenings.of(picture))
        self._marks.extend(marks)
        frame = Frame(
            number=self._made,
            at_ms=picture.at_ms,
            cause=picture.cause,
            remedy=picture.remedy,
            up=sum(process.up for process in picture.processes),
            processes=len(picture.processes),
            stages=[_stage(stage, picture.at_ms) for stage in picture.stages],
            older={each.use: each.older for each in used(picture.totals.get(BUCKETS, {}))},
            tables={view.name: _table(view, picture) for view in VIEWS},
            series=dict(_series(picture)),
            marks=marks,
        )
        self._frames.append(frame)

    def since(self, number: int) -> list[Frame] | None:
        """Those after `number`; None where some of them are no longer kept, or it is of another run."""
        if not self._frames:
            return []
        if not self._frames[0].number - 1 <= number <= self._made:
            return None
        return [frame for frame in self._frames if frame.number > number]

    def at(self, number: int) -> Frame | None:
        """The one of that number, if it is kept."""
        found = self.since(number - 1)
        return found[0] if found else None

    @property
    def before_the_end(self) -> Frame | None:
        """The last one with as many processes up as any of the last minute had: what ends in order is down later."""
        frames = [frame for frame in self._frames if frame.at_ms >= self._frames[-1].at_ms - ENDING_MS]
        return max(reversed(frames), key=lambda frame: frame.up, default=None)

    def history(self) -> "History":
        """All that is kept, in columns."""
        frames = list(self._frames)
        lines = dict.fromkeys(line for frame in frames for line in frame.series)
        series = {line: [frame.series.get(line) for frame in frames] for line in lines}
        return History([frame.at_ms for frame in frames], series, list(self._marks), self.newest)


class History(msgspec.Struct, frozen=True):
    """Moments (ms), the figures at each of them by `panel/line`, what happened, and the newest frame."""

    at_ms: list[int]
    series: dict[str, list[float | None]]
    marks: list[Mark]
    newest: Frame | None


def _stage(stage: StageView, at_ms: int) -> Stage:
    return Stage(
        name=stage.stage,
        word=stage.word,
        rule=stage.rule,
        per_s=round(stage.per_s, 2),
        behind=stage.behind,
        local_s=stage.local_s,
        until_ms=0 if stage.age_s is None else round(at_ms - 1000 * stage.age_s),
    )


def _table(view: View, picture: Picture) -> Table:
    rows = view.rows(picture)
    return Table(view.columns, [row.cells for row in rows], [row.word or "" for row in rows])


def _series(picture: Picture) -> Iterator[tuple[str, float]]:
    for stage in picture.stages:
        yield f"rate/{stage.stage}", round(stage.per_s, 2)
        if stage.local_s is not None:
            yield f"own lag/{stage.stage}", stage.local_s
        if stage.ages is not None:
            for quantile in ("p50", "p95", "p99"):
                yield f"{quantile}/{stage.stage}", getattr(stage.ages, f"{quantile}_s")
        for partition in stage.partitions if len(stage.partitions) > 1 else ():
            yield f"lag/{stage.stage} {partition.partition}", partition.behind
    for arm, gauc in picture.by(Metrics.arm_gauc, "arm").items():
        yield f"arms/{picture.cloud if arm == 'cloud' else arm}", round(gauc, 5)
    for labels, gain in picture.series(Metrics.lately_gain).items():
        of = pairs(labels)
        if of["devices"] == "all":
            line = f"gain/{of['arm']}" if of["bound"] == "mean" else f"bands/{of['arm']} {of['bound']}"
            yield line, round(gain, 5)
    yield "devices/connected", picture.total(Metrics.devices_connected)
    yield "model/version", picture.total(Metrics.model_version)
    for leg, seconds in picture.by(Metrics.canary_s, "leg").items():
        yield f"canary/{leg}", seconds
