"""Invariants of candidate batches, models and trainings."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from device_sim import topics
from device_sim.device import Device
from device_sim.training import TrainingJob
from models.sample import block_of
from streams.kafka.topics import TUNNEL_GROUP
from streams.simulation.invariants import Invariant
from streams.simulation.plan import Kind
from streams.simulation.timeline import START_MS
from streams.simulation.trainer import made
from wire.arrays import F32
from wire.batch import decode_batch
from wire.candidates import CandidateBatch
from wire.grid import LOGIT_STEPS, rounded_age_s
from wire.identity import NO_MODEL, ModelId
from wire.ids import user_key
from wire.malformed import Malformed
from wire.moments import SKEW_MS
from wire.sample import SampleRecord

if TYPE_CHECKING:
    from streams.simulation.devices import Devices
    from streams.simulation.world import World

# From Kafka to a device that is connected, if perhaps by a connection whose death is still to be noticed.
SOON_MS = 60_000
NEAR_MS = 2_000  # of its expiry: a batch may be gone when it gets there
# Half a step that logits travel in, and two float16 of numbers below 1 that were summed up in another order.
NEAR = 0.5 / LOGIT_STEPS + 0.002


class NewestBatchWins(Invariant):
    """A device never goes back to an older batch, never takes another's, and has the newest in the end."""

    name = "newest-batch-wins"

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self._newest: dict[str, int] = {}
        self._run: object = None
        kinds = {fault.kind for fault in world.plan.faults}
        self._hostile = Kind.HOSTILE in kinds  # a stranger may take a batch's place
        # So may a broker forget it, and clocks say something else of its expiry.
        self._forgets = self._hostile or Kind.CLOCK in kinds or (Kind.BROKER in kinds and not world.plan.persistent)
        self._without: dict[str, tuple[int, int]] = {}  # by user: which batch it lacks, and since when

    def watch(self) -> None:
        """Per life of the fleet: it begins again from its last snapshot."""
        work = self.world.devices
        if work is None:
            return
        if work is not self._run:
            self._run, self._newest = work, {}
        for user, device in work.fleet.devices.items():
            self.hold(device.newest_seq >= self._newest.get(user, -1), f"{user} went back to {device.newest_seq}")
            self._newest[user] = device.newest_seq
            batch = device.batch
            self.hold(batch is None or batch.user_id == user, f"{user} took a batch of {batch and batch.user_id}")
        if self.world.timeline.now_ms > self.world.plan.safety_ms and not self.world.stopped_workers:
            self._watch_arrivals(work)
        if not self._forgets:
            self._watch_retained()

    def _watch_retained(self) -> None:
        """What the tunnel has committed is at the broker for whoever comes back, unless it expired meanwhile."""
        world, now_ms = self.world, START_MS + self.world.timeline.now_ms
        committed = world.kafka.group(TUNNEL_GROUP).committed
        for user, (partition, offset) in world.seen.places.items():
            batch = world.seen.newest[user]
            if committed.get(partition, 0) <= offset or batch.matched_ms + world.plan.expiry_ms < now_ms + NEAR_MS:
                continue
            seq = self._retained(user)
            self.hold(
                seq >= batch.batch_seq, f"batch {batch.batch_seq} of {user} was carried, the broker retains {seq}"
            )

    def _retained(self, user: str) -> int:
        """The number of the user's batch that the broker retains; -1 where there is none, or a stranger's message."""
        kept = self.world.broker.retained.get(topics.candidates(user))
        try:
            batch = decode_batch(kept.payload) if kept else None
        except Malformed:
            return -1
        return batch.batch_seq if batch and batch.user_id == user else -1

    def _watch_arrivals(self, work: "Devices") -> None:
        """Once all is healed, the newest batch of each device gets there soon, if it is of the device's model."""
        now_ms = self.world.timeline.now_ms
        for user, device in work.fleet.devices.items():
            batch = self.world.seen.newest.get(user)
            if batch is None or not self._should_have(device, batch, now_ms) or device.newest_seq >= batch.batch_seq:
                self._without.pop(user, None)
                continue
            which, since_ms = self._without.get(user, (batch.batch_seq, now_ms))
            if which != batch.batch_seq:
                since_ms = now_ms
            self._without[user] = batch.batch_seq, since_ms
            soon = now_ms - since_ms < SOON_MS
            self.hold(soon, f"{user} did not get batch {batch.batch_seq}, and has {device.newest_seq}")

    def _should_have(self, device: Device, batch: CandidateBatch, now_ms: int) -> bool:
        fresh = START_MS + now_ms - batch.matched_ms < self.world.plan.expiry_ms - 5_000
        there = not self._hostile or self._retained(device.user_id) >= batch.batch_seq
        # It came before its model, and a device that does not train does not ask for another.
        refused = device.usage.answered_seq >= batch.batch_seq and (device.aside.stands or not device.eligible)
        can = batch.model == device.model and device.connected and not refused
        return fresh and there and can and not self.world.clocks_jumped


class NoStaleTraining(Invariant):
    """A device trains on the newest batch that it has, never on one that came after its time."""

    name = "no-stale-training"

    def job(self, job: TrainingJob) -> None:
        """Each device of a training."""
        work = self.world.devices
        assert work is not None, "who trains is there"
        for user, train in zip(job.users, job.trains, strict=True):
            device = work.fleet.devices[user]
            if train.batch is None:
                continue
            self.hold(train.batch is device.batch, f"{user} trains on a batch that is not its newest")
            self.hold(train.batch.batch_seq >= device.trained_seq, f"{user} trains on a batch that it has passed")


class VersionsNeverMix(Invariant):
    """Everything that is used together is of one cloud model, by its whole identity."""

    name = "versions-never-mix"

    def watch(self) -> None:
        """A device's batch is of its model, and pools hold one model."""
        work = self.world.devices
        for user, device in (work.fleet.devices if work else {}).items():
            batch = device.batch
            self.hold(batch is None or batch.model == device.model, f"{user} holds a batch of {batch and batch.model}")

    def job(self, job: TrainingJob) -> None:
        """A training is of one model."""
        for user, train in zip(job.users, job.trains, strict=True):
            right = train.model == job.model.id and (train.batch is None or train.batch.model == job.model.id)
            self.hold(right, f"{user} trains with {train.model} on {train.batch and train.batch.model}")

    def end(self) -> None:
        """Every candidate says what the batch's model expects of a sample that there is."""
        for batch, alike in self.world.candidates:
            told = f"batch {batch.batch_seq} of {batch.user_id}"
            self.hold(bool(alike), f"{told} holds what is no sample")
            self.hold(any(one.by_model for one in alike), f"{told} holds a sample that {batch.model} did not encode")


class NeverOlderThanDelay(Invariant):
    """No candidate is from the future, none is the asker's own, none is newer than the query."""

    name = "never-older-than-delay"

    def end(self) -> None:
        """Every candidate of every batch."""
        latest_ms = self.world.latest_ms + SKEW_MS
        for batch, alike in self.world.candidates:
            told, own = f"batch {batch.batch_seq} of {batch.user_id}", user_key(batch.user_id)
            self.hold(not alike or any(one.user != own for one in alike), f"{told} holds a sample of its own")
            before_ms = min(batch.query_timestamp - 1, latest_ms)
            self.hold(not alike or any(one.at_ms <= before_ms for one in alike), f"{told} holds a sample of the future")


class MonotonicVersions(Invariant):
    """Nobody goes back to an older cloud model, or to a lineage that was replaced; strangers' models are never used."""

    name = "monotonic-versions"

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self._known: dict[str, ModelId] = {}
        self._runs: tuple[object, ...] = ()

    def watch(self) -> None:
        """Per life of a process: it begins again from what it saved."""
        runs = self.world.devices, self.world.dataflow
        if runs != self._runs:
            self._runs, self._known = runs, {}
        work, flow = self.world.devices, self.world.dataflow
        for user, device in (work.fleet.devices if work else {}).items():
            self._follow(user, device.model)
        for pool in flow.live() if flow else []:
            self._follow(str(pool.store.path), pool.model)

    def _follow(self, who: str, model: ModelId) -> None:
        before = self._known.setdefault(who, model)
        if before in (model, NO_MODEL):
            self._known[who] = model
            return
        ours = int(model.lineage or "0", 16) <= self.world.newest_model[0]
        newer = (model.lineage, model.version) > (before.lineage, before.version)
        self.hold(ours and newer, f"{who} went from {before} to {model}")
        self._known[who] = model


class Alike(NamedTuple):
    """A sample that a candidate may be: whose, when, and whether the batch's model expects of it what is said."""

    user: int
    at_ms: int
    by_model: bool


class Candidates:
    """All samples, found by how they look as candidates."""

    def __init__(self, samples: Mapping[int, set[SampleRecord]]) -> None:
        records = [next(iter(each)) for each in samples.values()]
        self._block = block_of(records) if records else None
        self._rows: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for row, record in enumerate(records):
            self._rows[record.item, record.category, record.label, record.times].append(row)
        self._logits: dict[ModelId, F32] = {}

    def of(self, batch: CandidateBatch) -> Iterator[list[Alike]]:
        """For each candidate of a batch the samples that it may be."""
        for part in (batch.matched, batch.random):
            columns = part.item, part.category, part.label, part.times, part.age_s, part.logit.astype(np.float32)
            for *look, age_s, logit in zip(*(column.tolist() for column in columns), strict=True):
                yield list(self._alike(batch, tuple(look), age_s, logit))

    def _alike(self, batch: CandidateBatch, look: tuple[int, ...], age_s: int, logit: float) -> Iterator[Alike]:
        for row in self._rows.get(look, []):
            assert self._block is not None, "it has rows"
            at_ms = int(self._block.timestamp[row])
            if at_ms < batch.query_timestamp and rounded_age_s((batch.query_timestamp - at_ms) // 1000) == age_s:
                near = abs(float(self._expected(batch.model)[row]) - logit) < NEAR
                yield Alike(int(self._block.user[row]), at_ms, near)

    def _expected(self, model: ModelId) -> F32:
        if model not in self._logits:
            assert self._block is not None, "it has rows"
            logit = made(int(model.lineage, 16), model.version).encode_block(self._block).logit
            assert logit is not None, "it is encoded"
            self._logits[model] = logit
        return self._logits[model]
