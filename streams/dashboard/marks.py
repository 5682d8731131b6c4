"""What happened to a system, as a timeline shows it: faults, restarts, versions of the cloud model and of the task."""

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from monitor.metrics import Metrics
from streams.watch.picture import Picture


class Kind(StrEnum):
    """What a mark is about; where there is no room for all words, the first kinds have theirs."""

    FAULT = "fault"
    RESTART = "restart"
    MODEL = "model"
    TASK = "task"


class Mark(msgspec.Struct, frozen=True):
    """Something happened at `at_ms`."""

    at_ms: int
    kind: Kind
    what: str


class Happenings:
    """Tells from one picture to the next what happened in between; what was so at first is no news."""

    def __init__(self) -> None:
        self._born: dict[str, int] = {}
        self._versions: dict[Kind, float] = {}
        self._begun: dict[str, float] = {}
        self._over: dict[str, float] = {}

    def of(self, picture: Picture) -> Iterator[Mark]:
        """What is new in this picture."""
        yield from self._faults(picture)
        for process in picture.processes:
            born = self._born.setdefault(process.key, process.since_ms)
            if process.since_ms > born + 1000:  # clocks differ by less than that from one status to the next
                self._born[process.key] = process.since_ms
                yield Mark(picture.at_ms, Kind.RESTART, f"{process.key} starts again")
        yield from self._newer(picture, Kind.MODEL, "cloud model", picture.total(Metrics.model_version))
        yield from self._newer(picture, Kind.TASK, "task", picture.total(Metrics.task_version))

    def _faults(self, picture: Picture) -> Iterator[Mark]:
        """When the first of a kind of fault begins, and when the last is over: some come in waves."""
        begun, over = (picture.by(each, "fault") for each in (Metrics.faults_begun, Metrics.faults_over))
        for name, count in begun.items():
            was_on = self._begun.get(name, 0.0) > self._over.get(name, 0.0)
            is_on = count > over.get(name, 0.0)
            if count > self._begun.get(name, 0.0) and not was_on:
                yield Mark(picture.at_ms, Kind.FAULT, name)
            elif was_on and not is_on:
                yield Mark(picture.at_ms, Kind.FAULT, f"{name} is over")
        self._begun, self._over = begun, over

    def _newer(self, picture: Picture, kind: Kind, words: str, version: float) -> Iterator[Mark]:
        before = self._versions.get(kind, 0.0)
        if version > before > 0:
            yield Mark(picture.at_ms, kind, f"{words} v{version:.0f}")
        self._versions[kind] = max(version, before)
