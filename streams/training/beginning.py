"""Which cloud model a trainer begins with: the published one, or the first of a lineage; and whose place it takes."""

import re
from dataclasses import dataclass, replace
from typing import NamedTuple

import structlog

from models.cloud_model import CloudModel
from models.cloud_trainer import lineage_of, train_first
from models.sample import SampleBlock
from streams.stop import Stop
from streams.training.cloud_trainer import Learned
from streams.work_view import work_view
from wire.errors import InputError
from wire.model import MOST_REPLACED

_log = structlog.get_logger()
LINEAGE = re.compile(r"[0-9a-f]{16}")


class Begun(NamedTuple):
    """A model, what it has learned from, and whether it is yet to be published."""

    model: CloudModel
    learned: Learned
    is_new: bool


@dataclass(frozen=True)
class Beginning:
    """What a trainer was told: the `initial` part of a log, the lineage whose place to take (""), and the `seed`."""

    initial: SampleBlock | None
    replaces: str
    seed: int

    def model(self, published: tuple[CloudModel, Learned] | None, limit_bytes: int, stop: Stop) -> Begun:
        """The model to go on from; raises `InputError` where what is published is of another lineage than the log."""
        if self.replaces and not LINEAGE.fullmatch(self.replaces):
            raise InputError(f"--replace {self.replaces} is no lineage: these are 16 hexadecimal digits")
        if published is not None and (
            self.initial is None or lineage_of(self.initial, self.seed) == published[0].lineage
        ):
            model = self._instead(published[0])
            return Begun(model, published[1], is_new=model is not published[0])
        if self.initial is None:
            raise InputError("no cloud model is published yet: give --initial-log LOG to train the first one from")
        before = published[0] if published else None
        model = self._first(self.initial, self._gone(self.initial, before), limit_bytes, stop)
        return Begun(model, Learned(model.trained_until, {}), is_new=True)

    def _instead(self, model: CloudModel) -> CloudModel:
        """`model` under its next number where it does not replace the lineage yet; itself where it does."""
        if not self.replaces or self.replaces in model.replaces:
            return model
        if self.replaces == model.lineage:
            raise InputError(
                f"--replace {self.replaces} is what is published: give the --initial-log of another lineage"
            )
        return replace(model.as_version(model.version + 1), replaces=_bounded(self.replaces, *model.replaces))

    def _gone(self, initial: SampleBlock, before: CloudModel | None) -> tuple[str, ...]:
        """The lineages whose place a first version takes."""
        if before is not None and not self.replaces:
            raise InputError(
                f"the published cloud model is {before.id}, which did not begin with this --initial-log, "
                "--initial-share and --seed: leave --initial-log out to go on from it, or give "
                f"--replace {before.lineage} to begin anew"
            )
        gone = _bounded(self.replaces, *((before.lineage, *before.replaces) if before else ()))
        if lineage_of(initial, self.seed) in gone:
            raise InputError("this --initial-log and --seed made a lineage that is replaced: give another --seed")
        return gone

    def _first(self, initial: SampleBlock, gone: tuple[str, ...], limit_bytes: int, stop: Stop) -> CloudModel:
        with work_view(say=_log.info) as show:

            def progress(done: int, total: int) -> None:
                stop.check()
                show("training the first cloud model", done, total)

            return replace(train_first([initial], self.seed, progress, limit_bytes=limit_bytes), replaces=gone)


def _bounded(*lineages: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, lineages)))[:MOST_REPLACED]
