"""When the cloud trainer makes a new version, and from which samples (sans-I/O).

A version is due when event time has moved on by the refresh interval in every partition that is read, or in all
together once there is nothing left to read; how far it has come is for many users to say (`models.quorum`). It learns
what is new since the last one, mixed with remembered older samples.

A refreshed model is not always a better one, so there is a gate: a challenger learns the oldest 80 % of what is new,
and only if it predicts the newest 20 % with less log-loss than the model in use does a version go out, which has
learned all of it. Otherwise all go on waiting, and the gate is tried again an interval later, with more samples.
Without rehearsal and gate a refreshed model ranks worse than the stale one where a log drifts little.

What the trainer has learned from travels with the model itself, in the headers of its message, so that model and
positions can't disagree: a restart reads the topic again and remembers what it finds learned. When the gate was last
tried is forgotten by a restart, which costs one more try.
"""

from dataclasses import replace
from typing import NamedTuple

import msgspec
import numpy as np
import structlog

from models.cloud_model import CloudModel
from models.cloud_trainer import Progress, train_next
from models.quorum import Quorum
from models.sample import SampleBlock
from models.scores import logloss
from models.vocabulary import MODEL_BYTES
from monitor.metrics import Metrics
from streams.training.pile import Pile
from wire.arrays import I64, Bool
from wire.decoder import FORMAT, JsonDecoder
from wire.errors import ArtefactError
from wire.malformed import Malformed
from wire.moments import EventMs

HEADER = "coda-trainer"
LEAST_NEW = 2000  # samples: the gate would tell noise by the newest fifth of fewer, and devices adapt to every version
MOST_NEW = 500_000  # samples that wait, 141 MB: a gate that never opens must not fill the memory
HELD = 0.2  # of the samples that wait: what the gate predicts
REMEMBERED = 100_000  # samples kept for rehearsal, 28 MB; twice as many before the oldest are let go
LEARNED_BYTES = 64 << 10  # 16 B a partition
REHEARSED = 1  # remembered samples per new one, against forgetting

_log = structlog.get_logger()


class Learned(msgspec.Struct, frozen=True, tag_field=FORMAT, tag="learned/2"):
    """What a version has learned from: the initial part of a log, up to `initial_until` (event time, ms), and all
    samples before these offsets of the partitions of `samples`."""

    initial_until: int
    positions: dict[int, int]

    def headers(self) -> dict[str, bytes]:
        """As Kafka headers of the model's message."""
        return {HEADER: msgspec.json.encode(self)}

    @staticmethod
    def of(headers: dict[str, bytes]) -> "Learned":
        """From a model message's headers; raises `ArtefactError` for a model that no trainer of ours published."""
        try:
            return _learned(headers.get(HEADER, b""))
        except Malformed as error:
            raise ArtefactError(
                "a cloud model does not say what it has learned from: `coda train-cloud` did not publish it"
            ) from error


_learned = JsonDecoder[Learned]("learned", Learned, LEARNED_BYTES)


class Trial(NamedTuple):
    """How the gate was passed or not: mean log-losses on the newest of the samples that waited."""

    challenger: float
    in_use: float

    @property
    def passed(self) -> bool:
        """Whether a version came of it."""
        return self.challenger < self.in_use


class CloudTrainer:
    """Collects samples and turns them into versions of at most `limit_bytes` each. `model` is the newest one."""

    def __init__(
        self,
        model: CloudModel,
        learned: Learned,
        metrics: Metrics,
        *,
        refresh_ms: int,
        seed: int,
        limit_bytes: int = MODEL_BYTES,
    ) -> None:
        self.model = model
        self.learned = learned
        self._metrics, self._limit_bytes = metrics, limit_bytes
        self._refresh_ms = refresh_ms
        self._seed = seed
        self._new, self._memory = Pile(), Pile()
        self._read = dict(learned.positions)
        self._time, self._times = Quorum(), dict[int, Quorum]()  # of all partitions, and of each
        self._tried_ms = model.trained_until

    @property
    def waiting(self) -> int:
        """Samples that the next version will learn from."""
        return len(self._new)

    def remember(self, block: SampleBlock) -> None:
        """Keep samples that are learned already for rehearsal."""
        self._memory.add(block)
        if len(self._memory) > 2 * REMEMBERED:
            self._memory.keep_newest(REMEMBERED)

    def take(self, block: SampleBlock, partition: I64, offset: I64) -> None:
        """Take in samples, sample i being message `offset[i]` of `partition[i]`."""
        for number in np.unique(partition).tolist():
            mine = partition == number
            self._read[number] = max(self._read.get(number, 0), int(offset[mine].max()) + 1)
            self._hear(number, block.user[mine].tolist(), block.timestamp[mine].tolist())
        known = self._known(block, partition, offset)
        for rows, keep in ((known, self.remember), (~known, self._new.add)):
            if rows.any():
                keep(block.take(np.flatnonzero(rows)))
        self._bound()

    def _hear(self, partition: int, users: list[int], moments: list[EventMs]) -> None:
        """How far event time has come, by these users of a partition."""
        of_partition = self._times.setdefault(partition, Quorum())
        for user, moment in zip(users, moments, strict=True):
            self._time.claim(user, moment)
            of_partition.claim(user, moment)

    def _bound(self) -> None:
        """Of too many samples that wait, the older half counts as remembered from now on."""
        if self.waiting > MOST_NEW:
            older = self._new.keep_newest(MOST_NEW // 2)
            self.remember(older)
            self._metrics.samples_passed_over.inc(len(older))
            _log.warning(
                f"{len(older)} samples waited for a better cloud model until there were {MOST_NEW}: passed over"
            )

    def due(self, *, caught_up: bool) -> bool:
        """Whether the refresh interval is over; `caught_up` says that there was nothing left to read."""
        if not self._times:
            return False
        reached = self._time.now if caught_up else min(time.now for time in self._times.values())
        return reached >= max(self.model.trained_until, self._tried_ms) + self._refresh_ms

    def train(self, progress: Progress | None = None) -> Trial | None:
        """Let a challenger try the gate; if it passes, make the next version and count what waits as learned.

        None when too few samples wait for a trial. In any case the next one is due an interval later.
        """
        self._tried_ms = self._time.now
        new = _distinct(self._new.all()) if len(self._new) else None
        if new is None or len(new) < LEAST_NEW:
            return None
        trial = self._trial(new, progress)
        if trial.passed:
            self._advance(new, trial, progress)
        return trial

    def _trial(self, new: SampleBlock, progress: Progress | None) -> Trial:
        older, held = _parted(new)
        models = self._next(older, progress), self.model
        return Trial(*(logloss(held.label, model.predict(held)) for model in models))

    def _advance(self, new: SampleBlock, trial: Trial, progress: Progress | None) -> None:
        model = self._next(new, progress)
        losses = {"gate_log_loss": trial.challenger, "gate_log_loss_in_use": trial.in_use}
        rounded = {name: round(loss, 6) for name, loss in losses.items()}
        self.model = replace(model, metrics=model.metrics | rounded)
        self.learned = Learned(self.learned.initial_until, dict(self._read))
        self._new.clear()
        self.remember(new)

    def _next(self, new: SampleBlock, progress: Progress | None) -> CloudModel:
        """The version that comes of `new` and rehearsal."""
        seed = self._seed + self.model.version
        block = SampleBlock.concat([new, *self._rehearsal(len(new), seed)])
        return train_next(self.model, block, seed, progress, limit_bytes=self._limit_bytes)

    def _known(self, block: SampleBlock, partition: I64, offset: I64) -> Bool:
        """Which samples the model has learned from: in the initial part of the log, or before the learned offsets."""
        learned = np.array([self.learned.positions.get(number, 0) for number in partition.tolist()])
        known: Bool = (block.timestamp <= self.learned.initial_until) | (offset < learned)
        return known

    def _rehearsal(self, new: int, seed: int) -> list[SampleBlock]:
        if not len(self._memory):
            return []
        memory = _distinct(self._memory.all())
        wanted = min(REHEARSED * new, len(memory))
        return [memory.take(np.random.default_rng(seed).choice(len(memory), wanted, replace=False))]


def _parted(new: SampleBlock) -> tuple[SampleBlock, SampleBlock]:
    """The older samples and the newest, by event time; samples of one moment, such as a basket, stay together."""
    order = np.argsort(new.timestamp, kind="stable")
    times = new.timestamp[order]
    wanted = len(new) - int(HELD * len(new))
    first_held = int(np.searchsorted(times, times[wanted], "left")) or wanted
    return new.take(order[:first_held]), new.take(order[first_held:])


def _distinct(block: SampleBlock) -> SampleBlock:
    """Each sample once, in order: topics deliver at least once, and the initial part of the log may come twice."""
    return block.take(np.sort(np.unique(block.sample, return_index=True)[1]))
