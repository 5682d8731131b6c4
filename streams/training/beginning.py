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
    """What a trainer was told: the `head` of a log, the lineage whose place to take (""), and the `seed`."""

    head: SampleBlock | None
    replaces: str
    seed: int

    def model(self, published: tuple[CloudModel, Learned] | None, limit_bytes: int, stop: Stop) -> Begun:
        """The model to go on from; raises `InputError` where what is published is of another lineage than the head."""
        if self.replaces and not LINEAGE.fullmatch(self.replaces):
            raise InputError(f"--replace {self.replaces} is no lineage: these are 16 hexadecimal digits")
        if published is not None and (self.head is None or lineage_of(self.head, self.seed) == published[0].lineage):
            model = self._instead(published[0])
            return Begun(model, published[1], is_new=model is not published[0])
        if self.head is None:
            raise InputError("no cloud model is published yet: give --head-log LOG to train the first one from")
        before = published[0] if published else None
        model = self._first(self.head, self._gone(self.head, before), limit_bytes, stop)
        return Begun(model, Learned(model.trained_until, {}), is_new=True)

    def _instead(self, model: CloudModel) -> CloudModel:
        """`model` under its next number where it does not replace the lineage yet; itself where it does."""
        if not self.replaces or self.replaces in model.replaces:
            return model
        if self.replaces == model.lineage:
            raise InputError(f"--replace {self.replaces} is what is published: give the --head-log of another lineage")
        return replace(model.as_version(model.version + 1), replaces=_bounded(self.replaces, *model.replaces))

    def _gone(self, head: SampleBlock, before: CloudModel | None) -> tuple[str, ...]:
        """The lineages whose place a first version takes."""
        if before is not None and not self.replaces:
            raise InputError(
                f"the published cloud model is {before.id}, which did not begin with this --head-log, --head-share and "
                f"--seed: leave --head-log out to go on from it, or give --replace {before.lineage} to begin anew"
            )
        gone = _bounded(self.replaces, *((before.lineage, *before.replaces) if before else ()))
        if lineage_of(head, self.seed) in gone:
            raise InputError("this --head-log and --seed made a lineage that is replaced: give another --seed")
        return gone

    def _first(self, head: SampleBlock, gone: tuple[str, ...], limit_bytes: int, stop: Stop) -> CloudModel:
        with work_view(say=_log.info) as show:

            def progress(done: int, total: int) -> None:
                stop.check()
                show("training the first cloud model", done, total)

            return replace(train_first([head], self.seed, progress, limit_bytes=limit_bytes), replaces=gone)


def _bounded(*lineages: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, lineages)))[:MOST_REPLACED]
