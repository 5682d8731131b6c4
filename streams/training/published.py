"""What the topics hold already: the cloud models that follow one another, and the newest task."""

from collections import defaultdict
from dataclasses import replace
from operator import attrgetter, itemgetter
from typing import NamedTuple

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from models.artefact import model_from_bytes
from models.cloud_model import CloudModel
from streams.bus import Bus, Message
from streams.kafka.topics import MODELS, SAMPLES, TASKS, TRAINER_GROUP
from streams.training.cloud_trainer import Learned
from wire.errors import ArtefactError, InputError
from wire.identity import ModelId
from wire.malformed import Malformed
from wire.model import identify_model
from wire.reason import Reason
from wire.signing import open_model, open_task
from wire.succession import Succession
from wire.task import Task

SAMPLES_ID = "samples-id"  # a header of models: the id of the topic that their positions are of

_log = structlog.get_logger()


class Version(NamedTuple):
    """One version on the topic, not unpacked yet, and the lineages whose place it takes."""

    id: ModelId
    replaces: tuple[str, ...]
    message: Message

    def unpacked(self, bus: Bus, public: Ed25519PublicKey) -> tuple[CloudModel, Learned]:
        """The model and what it has learned from; raises `ArtefactError`."""
        learned = Learned.of(dict(self.message.headers))
        return model_from_bytes(open_model(self.message.value, public)), _still_true(learned, self.message, bus)


def published_versions(bus: Bus, public: Ed25519PublicKey) -> list[Version]:
    """Those that our key signed and that took each other's place, oldest first; others are told of and passed over.

    Raises `ArtefactError` when there are models and our key signed none of them.
    """
    succession, found, unsigned = Succession(), list[Version](), None
    for message in _by_age(bus, MODELS):
        try:
            identity, replaces = identify_model(open_model(message.value, public))
        except Malformed as error:
            _pass_over(message, str(error))
            unsigned = error if error.reason == Reason.UNSIGNED else unsigned
            continue
        offer = succession.offer(identity, replaces)
        if offer.verdict.refused:
            _pass_over(message, offer.why)
        else:
            found.append(Version(identity, replaces, message))
    if unsigned is not None and not found:
        raise _not_ours("model", MODELS, unsigned)
    return found


def published_model(bus: Bus, public: Ed25519PublicKey) -> tuple[CloudModel, Learned] | None:
    """The newest cloud model that checks out and what it has learned from; newer ones are told of and passed over."""
    for version in reversed(published_versions(bus, public)):
        try:
            return version.unpacked(bus, public)
        except ArtefactError as error:
            _pass_over(version.message, str(error))
    return None


def version_again(bus: Bus, number: int, public: Ed25519PublicKey) -> tuple[CloudModel, Learned]:
    """Version `number` of the newest lineage, as the next number of it, which takes the place of all that the newest
    does; raises `InputError` when it is not kept."""
    line = published_versions(bus, public)
    kept = [version for version in line if version.id.lineage == line[-1].id.lineage]
    wanted = [version for version in kept if version.id.version == number]
    if not wanted or number == kept[-1].id.version:
        numbers = ", ".join(str(version.id.version) for version in kept[:-1]) or "no older one"
        raise InputError(f"--back-to {number}: of the lineage in use the topic {MODELS} keeps {numbers} to go back to")
    model, learned = wanted[-1].unpacked(bus, public)
    return replace(model.as_version(kept[-1].id.version + 1), replaces=kept[-1].replaces), learned


def published_task(bus: Bus, public: Ed25519PublicKey) -> Task | None:
    """The newest task that our key signed; what is none is told of and passed over.

    Raises `ArtefactError` when there are tasks and our key signed none of them.
    """
    unsigned = None
    for message in reversed(_by_age(bus, TASKS)):
        try:
            return open_task(message.value, public)
        except Malformed as error:
            _pass_over(message, str(error))
            if error.reason == Reason.UNSIGNED:
                unsigned = error
    if unsigned is not None:
        raise _not_ours("task", TASKS, unsigned)
    return None


def _not_ours(kind: str, topic: str, unsigned: Malformed) -> ArtefactError:
    return ArtefactError(
        f"no {kind} on {topic} is ours to follow up ({unsigned}); use the --keys they were signed with"
    )


def _by_age(bus: Bus, topic: str) -> list[Message]:
    """All of a topic by their timestamps, but none before what came ahead of it: a clock may have been set back."""
    aged = list[tuple[int, int, Message]]()
    so_far_ms = defaultdict[int, int](int)  # by partition
    for m in sorted(bus.read(f"{TRAINER_GROUP}-newest", bus.bounds(topic)), key=attrgetter("offset")):
        so_far_ms[m.partition] = max(so_far_ms[m.partition], m.timestamp_ms)
        aged.append((so_far_ms[m.partition], m.offset, m))
    return [message for *_, message in sorted(aged, key=itemgetter(0, 1))]


def _pass_over(message: Message, why: str) -> None:
    _log.warning(f"passed over {message.topic}[{message.partition}] offset {message.offset}: {why}")


def _still_true(learned: Learned, message: Message, bus: Bus) -> Learned:
    """`learned` without its positions when these are of a topic `samples` that was deleted and made again since."""
    then = message.headers.get(SAMPLES_ID, b"").decode(errors="replace")
    if not then or then == bus.home([SAMPLES]).topics.get(SAMPLES, ""):
        return learned
    _log.warning(f"the topic {SAMPLES} was made anew since the newest model: reading all that it holds")
    return msgspec.structs.replace(learned, positions={})
