"""All statuses, folded into one picture (sans-I/O): processes of one role add up, and the silent are called silent."""

import math
from collections.abc import Collection, Iterable, Mapping
from itertools import accumulate

from msgspec.structs import replace

from monitor.histogram import NO_HISTOGRAM, Histogram
from monitor.metrics import AVERAGED, FLEETING, LARGEST_WINS, Metrics
from monitor.stages import OF, STAGES, before, path_to
from monitor.state import Freshness
from monitor.words import Judgement, Look, Word, judge
from streams.watch.cause import likely_cause
from streams.watch.heard import CPU, Heard, Values, added
from streams.watch.picture import PartitionView, Picture, ProcessView, StageView
from streams.watch.presence import judge_presence, presence
from wire.status import Frontier, Role, Status

MOST_PROCESSES = 1000  # whoever may write to the topic could name more; the longest silent are let go
_FLOWN = frozenset({Role.FLOW, Role.TUNNEL})  # what canaries go through
_Known = tuple[Heard, Frontier]  # who tells, and what
_CONNECTED = Metrics.devices_connected.name
_WORST = [Word.IDLE, Word.FRESH, Word.BEHIND, Word.STALLED, Word.DOWN]  # of a stage's partitions, the last speaks


class Fold:
    """Takes statuses as they come, and shows what they amount to at a moment."""

    def __init__(self) -> None:
        self._heard: dict[str, Heard] = {}
        self._ends: dict[tuple[str, int], int] = {}
        self._refused = 0

    def ends(self, topic: str, ends: Mapping[int, int]) -> None:
        """Where the partitions of a topic end now: what a process that is gone has not done grows meanwhile."""
        self._ends |= {(topic, partition): end for partition, end in ends.items()}

    def take(self, status: Status, heard_ms: int) -> None:
        """A status, as heard at `heard_ms` by a clock that is one for all processes: Kafka's."""
        heard = self._heard.setdefault(status.key, Heard())
        if heard.take(status, heard_ms):
            self._heard[status.key] = self._heard.pop(status.key)  # the longest silent come first
        while len(self._heard) > MOST_PROCESSES:
            del self._heard[next(iter(self._heard))]

    def refuse(self) -> None:
        """A message that is no status."""
        self._refused += 1

    def passed(self) -> dict[str, Histogram]:
        """By stage, the ages of all that passed it so far, in all lives of all processes."""
        passed: dict[str, Histogram] = {}
        for heard in self._heard.values():
            for stage, ages in heard.all_aged().items():
                passed[stage] = passed.get(stage, NO_HISTOGRAM).combine(ages, 1)
        return passed

    def picture(self, now_ms: int) -> Picture:
        """Everything, at `now_ms` by the same clock."""
        rates = {heard: heard.per_s() for heard in self._heard.values() if heard.up(now_ms)}
        stages = _Stages(self._heard.values(), now_ms, self._ends)
        picture = Picture(
            at_ms=now_ms,
            processes=tuple(_process(heard, now_ms, rates.get(heard)) for _, heard in sorted(self._heard.items())),
            stages=stages.views(),
            groups=stages.groups(),
            refused=self._refused,
            totals=_totals(self._heard.values(), rates),
            per_s=_per_s(rates.values()),
        )
        cause = likely_cause(picture)
        return replace(picture, cause=cause.said, remedy=cause.remedy) if cause else picture


def _process(heard: Heard, now_ms: int, rates: Mapping[str, float] | None) -> ProcessView:
    said = heard.newest
    return ProcessView(
        key=said.key,
        role=said.role,
        name=said.name,
        since_ms=heard.since_ms,
        silent_s=heard.silent_ms(now_ms) / 1000,
        ended=said.ended,
        cores=rates.get(CPU) if rates else None,
        warnings=said.warnings,
        has_rival=heard.has_rival(now_ms),
    )


def _totals(everybody: Collection[Heard], up: Collection[Heard]) -> Values:
    """What was ever counted, and what is so now; what is kept on a disk is so still where nobody of its role is up."""
    totals: Values = {}
    for heard in everybody:
        totals = added(totals, heard.totals())
    there = {heard.newest.role for heard in up}
    shown: dict[Heard, Values] = {}
    for heard in everybody:
        gauges = heard.gauges()
        if heard not in up:
            gone = heard.newest.role in there
            gauges = {} if gone else {name: values for name, values in gauges.items() if name not in FLEETING}
        shown[heard] = gauges
        summed = gauges.keys() - LARGEST_WINS - AVERAGED
        totals = added(totals, {name: gauges[name] for name in summed})
    return totals | _largest(shown) | _averaged(shown)


def _largest(shown: Mapping[Heard, Values]) -> Values:
    """Gauges of one and the same thing; the connections of a fleet's processes are to be added up before."""
    largest: Values = {}
    fleets = [gauges for heard, gauges in shown.items() if heard.newest.role is Role.FLEET]
    connected = sum(gauges.get(_CONNECTED, {}).get("", 0.0) for gauges in fleets)
    for gauges in (*shown.values(), {_CONNECTED: {"": connected}} if connected else {}):
        for name in LARGEST_WINS & gauges.keys():
            by_label = largest.setdefault(name, {})
            for label, value in gauges[name].items():
                by_label[label] = max(by_label.get(label, value), value)
    return largest


def _averaged(shown: Mapping[Heard, Values]) -> Values:
    """Gauges of shares of the users, each weighed by what was predicted for its share."""
    sums: Values = {}
    weights: Values = {}
    for heard, gauges in shown.items():
        weight = max(1.0, sum(heard.totals().get(Metrics.predictions.name, {}).values()))
        told = {name: gauges[name] for name in AVERAGED & gauges.keys()}
        weights = added(weights, {name: dict.fromkeys(values, weight) for name, values in told.items()})
        weighed = {name: {label: weight * v for label, v in values.items()} for name, values in told.items()}
        sums = added(sums, weighed)
    return {name: {label: v / weights[name][label] for label, v in values.items()} for name, values in sums.items()}


def _per_s(rates: Iterable[Mapping[str, float]]) -> dict[str, float]:
    summed: dict[str, float] = {}
    for by_name in rates:
        for name, rate in by_name.items():
            summed[name] = summed.get(name, 0.0) + rate
    return summed


class _Stages:
    """The stages at one moment, from whoever knows most of each of their partitions."""

    def __init__(self, everybody: Iterable[Heard], now_ms: int, ends: Mapping[tuple[str, int], int]) -> None:
        self._now_ms, self._ends = now_ms, ends
        self._known: dict[str, dict[tuple[int, str], _Known]] = {}
        self._looks: dict[Heard, dict[tuple[str, int], list[Look]]] = {}
        self._aged: list[tuple[tuple[float, ...], dict[str, tuple[int, ...]]]] = []  # of who is there, with the bounds
        for heard in everybody:
            self._looks[heard] = heard.looks()
            if heard.up(now_ms):
                self._aged.append((heard.newest.age_bounds_s, heard.aged()))
            for frontier in heard.frontiers():
                self._offer(heard, frontier)
        self._known = {stage: self._waited_for(known) for stage, known in self._known.items()}

    def _waited_for(self, known: dict[tuple[int, str], _Known]) -> dict[tuple[int, str], _Known]:
        """What is known of a stage, but for those of its processes that are gone for good, where another is there."""
        if not any(heard.up(self._now_ms) for (partition, _), (heard, _) in known.items() if partition < 0):
            return known
        return {whose: each for whose, each in known.items() if whose[0] >= 0 or not self._is_gone(each[0])}

    def _is_gone(self, heard: Heard) -> bool:
        """Whether nobody waits for it: it ended, or is a tunnel, whose devices are another one's by now."""
        role = heard.newest.role
        moved = role is Role.TUNNEL and not heard.up(self._now_ms)
        return moved or (heard.newest.ended and role is not Role.REPLAY)

    def _offer(self, heard: Heard, frontier: Frontier) -> None:
        """Of several processes that tell of one partition, who is there counts, then who is further.

        What has no partitions is each process's own.
        """
        known = self._known.setdefault(frontier.stage, {})
        whose = frontier.partition, heard.newest.key if frontier.partition < 0 else ""
        rival = known.get(whose)
        if rival is None or self._rank(heard, frontier) > self._rank(*rival):
            known[whose] = heard, frontier

    def _rank(self, heard: Heard, frontier: Frontier) -> tuple[bool, int]:
        return heard.up(self._now_ms), frontier.until_ms

    def views(self) -> tuple[StageView, ...]:
        """All stages that somebody tells of, in their order."""
        order = [*STAGES, *sorted(self._known.keys() - STAGES.keys())]
        return tuple(self._view(stage) for stage in order if stage in self._known and OF not in stage)

    def groups(self) -> tuple[StageView, ...]:
        """The same of stages that are told of groups of devices, whose devices may be away."""
        return tuple(self._beside_presence(self._view(stage)) for stage in self._known if OF in stage)

    def _beside_presence(self, group: StageView) -> StageView:
        there = [heard for heard in self._looks if heard.newest.role is Role.FLEET and heard.up(self._now_ms)]
        away = judge_presence(presence(group.stage.partition(OF)[2], there))
        if away is None or _WORST.index(away.word) < _WORST.index(group.word):
            return group
        return replace(group, word=away.word, rule=away.rule, left_s=away.left_s)

    def _view(self, stage: str) -> StageView:
        partitions = [self._partition(*known) for _, known in sorted(self._known[stage].items())]
        worst = max(partitions, key=lambda p: (_WORST.index(p.word), p.behind))
        until_ms = self._until_ms(stage)
        given_ms = self._passed_on_ms(before(stage)) if before(stage) else None
        on_the_way = [self._until_ms(each) for each in path_to(stage) if each in self._known]
        produced_ms = self._until_ms("produced")
        return StageView(
            stage=stage,
            word=worst.word,
            rule=worst.rule
            if len(partitions) == 1 or worst.partition < 0
            else f"partition {worst.partition}: {worst.rule}",
            behind=sum(p.behind for p in partitions),
            per_s=sum(p.per_s for p in partitions),
            age_s=_s(self._now_ms, until_ms),
            local_s=_s(given_ms, until_ms),
            global_s=_s(self._now_ms if produced_ms is None else produced_ms, _least(on_the_way)),
            event_s=_s(self._event_ms("produced"), self._event_ms(stage)),
            left_s=worst.left_s,
            ages=self._ages(stage),
            partitions=tuple(partitions),
        )

    def _partition(self, heard: Heard, frontier: Frontier) -> PartitionView:
        looks = self._looks[heard][frontier.stage, frontier.partition]
        judged = self._judge(heard, looks)
        elapsed_s = (looks[-1].at_ms - looks[0].at_ms) / 1000
        per_s = (looks[-1].position - looks[0].position) / elapsed_s if elapsed_s > 0 and heard.up(self._now_ms) else 0
        return PartitionView(
            partition=frontier.partition,
            word=judged.word,
            rule=judged.rule,
            position=frontier.position,
            behind=replace(frontier, end=max(frontier.end, self._end(frontier))).behind,
            age_s=_s(self._now_ms, frontier.until_ms or None),
            per_s=max(0.0, per_s),
            left_s=judged.left_s,
        )

    def _end(self, frontier: Frontier) -> int:
        """Where its partition ends, as somebody else has seen."""
        reads = STAGES[frontier.stage].reads if frontier.stage in STAGES else ""
        return self._ends.get((reads, frontier.partition), 0)

    def _judge(self, heard: Heard, looks: list[Look]) -> Judgement:
        silent_ms = heard.silent_ms(self._now_ms)
        if _is_through(heard):
            return Judgement(Word.IDLE, "the replay is through")
        judged = judge(looks, silent_ms, ended=heard.newest.ended)
        return self._beside_canary(judged) if judged.word is Word.IDLE and heard.newest.role in _FLOWN else judged

    def _beside_canary(self, idle: Judgement) -> Judgement:
        """That of a stage to which nothing comes: a canary, if one is there, tells whether anything could."""
        known = self._known.get("canary", {}).values()
        heard, frontier = max(known, key=lambda each: self._rank(*each), default=(None, None))
        if heard is None or frontier is None or not heard.up(self._now_ms):
            return idle
        canary = judge(self._looks[heard]["canary", frontier.partition], 0)
        if canary.word is Word.FRESH:
            return Judgement(Word.IDLE, f"{idle.rule}, and canaries come back")
        return Judgement(canary.word, f"{idle.rule}, but canaries do not come back: {canary.rule}")

    def _until_ms(self, stage: str) -> int | None:
        """The moment up to which all its partitions are done, but for replays that are through; None where one of them
        never was."""
        known = self._known.get(stage, {}).values()
        going = [frontier.until_ms for heard, frontier in known if not _is_through(heard)]
        through = [frontier.until_ms for heard, frontier in known if _is_through(heard)]
        return (min(going) if going else max(through, default=0)) or None

    def _passed_on_ms(self, stage: str | None) -> int | None:
        """Up to which moment a stage gets what the nearest stage before it that is known has done."""
        while stage is not None and self._until_ms(stage) is None:
            stage = before(stage)
        return self._until_ms(stage) if stage is not None else self._now_ms

    def _event_ms(self, stage: str) -> int | None:
        known = self._known.get(stage, {}).values()
        return max((frontier.event_ms for _, frontier in known if frontier.event_ms >= 0), default=None)

    def _ages(self, stage: str) -> Freshness | None:
        """How old things were that passed it just now."""
        found = [(bounds, ages[stage]) for bounds, ages in self._aged if stage in ages]
        bounds = {bounds for bounds, _ in found}
        if len(bounds) != 1:
            return None
        summed = [sum(column) for column in zip(*(ages for _, ages in found), strict=True)]
        return Freshness.of(Histogram((*bounds.pop(), math.inf), tuple(accumulate(summed))))


def _is_through(heard: Heard) -> bool:
    """Whether it is a replay that has no more to send."""
    return heard.newest.ended and heard.newest.role is Role.REPLAY


def _least(moments: list[int | None]) -> int | None:
    """The earliest; None if one is not known."""
    known = [moment for moment in moments if moment is not None]
    return min(known, default=None) if len(known) == len(moments) else None


def _s(later_ms: int | None, earlier_ms: int | None) -> float | None:
    if later_ms is None or earlier_ms is None:
        return None
    return max(0, later_ms - earlier_ms) / 1000
