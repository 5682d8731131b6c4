"""When the cloud trainer makes a new version, and from which samples (sans-I/O).

A version is due when event time has moved on by the refresh interval in every partition that is read, or in any
once there is nothing left to read. It learns what is new since the last one, mixed with remembered older samples:
trained on the newest alone, a model forgets (ml-100k, refreshed every 4,000 samples: AUC .677 instead of .701).

What the trainer has learned from travels with the model itself, in the headers of its message, so that model and
positions can't disagree: a restart reads the topic again and remembers what it finds learned.
"""

from typing import Self

import msgspec
import numpy as np

from models.arrays import I64, Bool
from models.cloud_model import CloudModel
from models.cloud_trainer import Progress, train_next
from models.errors import ArtefactError
from models.sample import SampleBlock

HEADER = "coda-trainer"
LEAST_NEW = 256  # samples: fewer teach a model less than they cost its devices, which start over with every version
REMEMBERED = 100_000  # samples kept for rehearsal, 27 MB
REHEARSED = 3  # remembered samples per new one; 10 costs three times as much and won .002 GAUC on ml-100k


class Learned(msgspec.Struct, frozen=True):
    """What a version has learned from: the head of the log up to `head_until` (event time, ms), and all samples
    before these offsets of the partitions of `samples`."""

    head_until: int
    positions: dict[int, int]

    def headers(self) -> dict[str, bytes]:
        """As Kafka headers of the model's message."""
        return {HEADER: msgspec.json.encode(self)}

    @classmethod
    def of(cls, headers: dict[str, bytes]) -> Self:
        """From a model message's headers; raises `ArtefactError` for a model that no trainer of ours published."""
        try:
            return msgspec.json.decode(headers.get(HEADER, b""), type=cls)
        except msgspec.DecodeError as error:
            raise ArtefactError(
                "a cloud model does not say what it has learned from: `coda train-cloud` did not publish it"
            ) from error


class CloudTrainer:
    """Collects samples and turns them into versions. `model` is the newest one."""

    def __init__(self, model: CloudModel, learned: Learned, *, refresh_ms: int, seed: int) -> None:
        self.model = model
        self.learned = learned
        self._refresh_ms = refresh_ms
        self._seed = seed
        self._new: list[SampleBlock] = []
        self._memory: list[SampleBlock] = []
        self._read = dict(learned.positions)
        self._newest: dict[int, int] = {}

    @property
    def waiting(self) -> int:
        """Samples that the next version will learn from."""
        return sum(map(len, self._new))

    def remember(self, block: SampleBlock) -> None:
        """Keep samples that are learned already for rehearsal."""
        self._memory.append(block)
        if sum(map(len, self._memory)) > 2 * REMEMBERED:
            self._memory = [SampleBlock.concat(self._memory).take(slice(-REMEMBERED, None))]

    def take(self, block: SampleBlock, partition: I64, offset: I64) -> None:
        """Take in samples, sample i being message `offset[i]` of `partition[i]`."""
        for number in np.unique(partition).tolist():
            mine = partition == number
            self._read[number] = max(self._read.get(number, 0), int(offset[mine].max()) + 1)
            self._newest[number] = max(self._newest.get(number, 0), int(block.timestamp[mine].max()))
        known = self._known(block, partition, offset)
        for rows, keep in ((known, self.remember), (~known, self._new.append)):
            if rows.any():
                keep(block.take(np.flatnonzero(rows)))

    def due(self, *, caught_up: bool) -> bool:
        """Whether a version is due; `caught_up` says that there was nothing left to read."""
        if self.waiting < LEAST_NEW:
            return False
        reached = max(self._newest.values()) if caught_up else min(self._newest.values())
        return reached >= self.model.trained_until + self._refresh_ms

    def train(self, progress: Progress | None = None) -> CloudModel:
        """Make the next version from what is new, and count that as learned."""
        seed = self._seed + self.model.version
        new = _distinct(SampleBlock.concat(self._new))
        self.model = train_next(self.model, SampleBlock.concat([new, *self._rehearsal(len(new), seed)]), seed, progress)
        self.learned = Learned(self.learned.head_until, dict(self._read))
        self._new = []
        self.remember(new)
        return self.model

    def _known(self, block: SampleBlock, partition: I64, offset: I64) -> Bool:
        """Which samples the model has learned from: in the head of the log, or before the learned offsets."""
        learned = np.array([self.learned.positions.get(number, 0) for number in partition.tolist()])
        known: Bool = (block.timestamp <= self.learned.head_until) | (offset < learned)
        return known

    def _rehearsal(self, new: int, seed: int) -> list[SampleBlock]:
        if not self._memory:
            return []
        memory = _distinct(SampleBlock.concat(self._memory))
        wanted = min(REHEARSED * new, len(memory))
        return [memory.take(np.random.default_rng(seed).choice(len(memory), wanted, replace=False))]


def _distinct(block: SampleBlock) -> SampleBlock:
    """Each sample once, in order: topics deliver at least once, and the head of the log may come twice."""
    return block.take(np.sort(np.unique(block.sample, return_index=True)[1]))
