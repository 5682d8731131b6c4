"""Many devices at once: hands them stimuli, carries their instructions out in batches, without any I/O.

Whoever drives it (`coda fleet` live, the evaluation on a log, a test) calls in this order, as things happen:
`handle_events` for what users do, `deliver_batch` and the like for what the tunnel brings, `begin_training` /
`finish_training` (or `train_due`, which does both) for a bounded group of devices at a time, and sends what
`take_outgoing` returns. The same calls in the same order give the same result.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import structlog

from device_sim.at_rest import DeviceAtRest
from device_sim.changes import Changes
from device_sim.clocks import Clocks
from device_sim.device import Device
from device_sim.due import GROUP, Due
from device_sim.headcount import Headcount
from device_sim.instruction import Count, Forget, Freshness, Instruction, Predict, Publish, Untask, WantTraining
from device_sim.offer import Offer
from device_sim.outcome import Attendances, Devices, Events, Models, Receipts
from device_sim.parameter_store import ParameterStore, Rows
from device_sim.quarantine import Quarantine
from device_sim.readiness import wakes_ms
from device_sim.record import Predictions, TrainingRecord
from device_sim.stimulus import (
    BatchArrived,
    Connected,
    LinkLost,
    OwnEvent,
    Predicted,
    ReceiptArrived,
    Stimulus,
    TaskArrived,
    Tick,
    Trained,
    TrainingFailed,
    TrainingSlot,
    Unheard,
)
from device_sim.training import Attempt, TrainingJob, TrainingResult
from device_sim.usage import Usage
from device_sim.use_ages import observe_predictions, observe_training
from models.cloud_model import CloudModel
from models.prior_variance import factors_of
from monitor.metrics import Metrics
from wire.malformed import Malformed
from wire.outcome import Batches, Outcome, Trainings
from wire.succession import Verdict, refusal
from wire.task import ARMS, Task
from wire.telemetry import decode_receipt

log = structlog.get_logger(__name__)


class Fleet:
    """Devices by user id. `uploads`: devices send their events up themselves; `seed` fixes all training; `scores`: they
    predict what ranks, too, and not probabilities alone.

    Sums that devices report are of the life `boot`, a number that no older state of a fleet had (its wall clock will
    do), and their reports count from `sequence`.

    `counts` says how often what ended how; `predictions` and `trainings` wait to be taken, `due` is who wants to train.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        uploads: bool = False,
        seed: int = 0,
        boot: int = 0,
        sequence: int = 0,
        scores: bool = False,
    ) -> None:
        self._metrics, self.uploads, self.seed = metrics, uploads, seed
        self.boot, self.sequence = boot, sequence
        self.devices: dict[str, Device] = {}
        self.slots: dict[str, int] = {}
        self.store = ParameterStore(scores=scores)
        self.offer = Offer()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.predictions: list[Predictions] = []
        self.trainings: list[TrainingRecord] = []
        self.due = Due()
        self.clocks = Clocks()
        self.changes = Changes(self.at_rest)
        self._outgoing: list[tuple[str, Publish]] = []
        self.quarantine = Quarantine()
        self._gone: list[str] = []

    def device(self, user_id: str) -> Device:
        """The user's device, made at first sight with the newest model and task, as an app comes with them."""
        if user_id not in self.devices:
            self.changes.touch(user_id)
            self.devices[user_id] = Device(user_id, uploads=self.uploads, usage=Usage(self.boot, self.sequence))
            self.slots[user_id] = self.store.add()
            self._catch_up(user_id, 0)
        return self.devices[user_id]

    def at_rest(self, user_id: str) -> DeviceAtRest | None:
        """The device as it is now, to be saved; None where there is none."""
        if user_id not in self.devices:
            return None
        return DeviceAtRest.of(self.devices[user_id], self.store.take(self.slots[user_id]))

    def adopt(self, device: Device) -> None:
        """Take over a device that was at rest; the cloud model that it has must be one of the store's."""
        self.changes.touch(device.user_id)
        self.devices[device.user_id] = device
        if device.wanting:
            self.due.add(device.user_id)
        self.clocks.wake(device.user_id, 0)
        slot = self.slots[device.user_id] = self.store.add()
        if device.task is not None:
            self.store.configure(slot, device.task)
        self.store.put(slot, device.parameters)

    def release(self, user_id: str) -> Device:
        """Let a device go that is not in training, at rest and with all that is its own."""
        device = self.devices[user_id]
        device.parameters = self.store.take(self.slots[user_id])
        device.connected = False
        device.upcoming.clear()
        device.outbox.link_lost()
        self._let_go(user_id)
        return device

    def retire(self, most: int) -> int:
        """Let the devices go whose users did nothing for longest, if there are more than `most`; how many went.

        A tenth more than need be go at once, as to find them every device is looked at; those in training stay, and
        those whose events the cloud has not got yet go last.
        """
        if len(self.devices) <= most:
            return 0
        may = (device for device in self.devices.values() if not device.busy)
        idle = sorted(may, key=lambda device: (len(device.outbox) > 0, device.produced_ms))
        gone = [device.user_id for device in idle[: len(self.devices) - most + most // 10]]
        for user_id in gone:
            self._give_up_events(user_id)
            self._let_go(user_id)
            self.count(Devices.RETIRED)
        self.boot += 1  # who comes back begins another life
        return len(gone)

    def take_gone(self) -> list[str]:
        """Users whose devices are gone since the last call, retired or quarantined."""
        gone, self._gone = self._gone, []
        return gone

    def handle_events(self, events: Sequence[OwnEvent], now_ms: int) -> None:
        """Own events in order: every arm predicts each before anything learns from it."""
        asked: list[tuple[str, Predict]] = []
        for event in events:
            user_id = event.event.user_id
            instructions = self._handle(user_id, event, now_ms)
            asked += [(user_id, i) for i in instructions if isinstance(i, Predict)]
            self._carry_out(user_id, instructions, now_ms)
        self._predict([(user_id, predict) for user_id, predict in asked if user_id in self.devices], now_ms)

    def connected(self, user_id: str, now_ms: int) -> None:
        """The device's link is up: what it missed arrives, as retained messages do."""
        self._tell(user_id, Connected(), now_ms)
        self._catch_up(user_id, now_ms)

    def link_lost(self, user_id: str, now_ms: int) -> None:
        """The device's link is down."""
        self._tell(user_id, LinkLost(), now_ms)

    def unheard(self, user_id: str, now_ms: int) -> None:
        """The broker says that nobody listens to the device's events."""
        self._tell(user_id, Unheard(), now_ms)

    def deliver_batch(self, user_id: str, raw: bytes, now_ms: int) -> None:
        """A candidate batch came down."""
        self._tell(user_id, BatchArrived(raw), now_ms)

    def deliver_receipt(self, user_id: str, raw: bytes, now_ms: int) -> None:
        """The cloud says which uploaded events it has."""
        try:
            receipt = decode_receipt(raw)
        except Malformed:
            self.count(Receipts.MALFORMED)
            return
        self._tell(user_id, ReceiptArrived(receipt.event_ids, len(raw)), now_ms)

    def deliver_model(self, model: CloudModel, size: int, now_ms: int) -> None:
        """A cloud model (already checked, `size` bytes on the wire) for all devices that are connected."""
        verdict, newest = self.offer.verdict(model), self.offer.model
        if newest is not None and verdict.refused:
            self.count(Models(verdict))
            log.warning(f"passed over a cloud model: {refusal(newest.id, model.id, verdict)}")
        if verdict is not Verdict.ADOPTED:
            return
        self.offer.model, self.offer.model_size = model, size
        self.store.models[model.id.key] = model
        self._metrics.model_version.set(model.version)
        for user_id, device in list(self.devices.items()):
            if device.connected or device.version == 0:
                self._catch_up(user_id, now_ms)

    def deliver_task(self, task: Task, size: int, now_ms: int) -> None:
        """A task (signature already checked) for all devices that are connected."""
        self.offer.task, self.offer.task_size = task, size
        self._metrics.task_version.set(task.task_version)
        for user_id, device in list(self.devices.items()):
            if device.connected or device.task is None:
                self._catch_up(user_id, now_ms)

    def set_clock(self, user_id: str, off_ms: int) -> None:
        """The device's clock is so far ahead of the one that this fleet is told (behind: less than 0)."""
        if self.clocks.set(user_id, off_ms):
            self.count(Attendances.CLOCK_SET)

    def tick(self, now_ms: int) -> None:
        """Time passed: devices repeat what was never answered. Nearly all have nothing to do, and are not asked."""
        for user_id in sorted(self.clocks.awake(now_ms), key=self.slots.__getitem__):
            self._tell(user_id, Tick(), now_ms)
        if len(self.store.models) > 1:
            known = {model.key for device in self.devices.values() for model in (device.model, device.newest_model)}
            self.store.drop_models(known | {self.offer.model_key})

    def show(self) -> None:
        """Tell how many devices there are."""
        Headcount.of(self.devices.values()).show(self._metrics)

    def begin_training(
        self, now_ms: int, limit: int = GROUP, may: Callable[[str], bool] = lambda _: True
    ) -> TrainingJob | None:
        """Up to `limit` of the due devices that `may` train now, as one job; None when there are none."""
        give_slot = partial(self._handle, stimulus=TrainingSlot(), now_ms=now_ms)
        group = self.due.take(self.devices, give_slot, partial(self.clocks.hear, now_ms=now_ms), limit, may)
        if not group:
            return None
        users, trains = zip(*group, strict=True)
        return TrainingJob(users, trains, self.store.models[trains[0].model.key], trains[0].task, self.seed)

    def finish_training(self, attempts: Sequence[Attempt], now_ms: int) -> None:
        """Apply what trainings came to; of those that failed each device keeps its heads, and loses its batch."""
        for attempt in attempts:
            if isinstance(attempt.outcome, TrainingResult):
                self._apply(attempt.job, attempt.outcome, now_ms)
            else:
                self._give_up(attempt.job, attempt.outcome, now_ms)

    def _give_up(self, job: TrainingJob, error: Exception, now_ms: int) -> None:
        for user_id, train in zip(job.users, job.trains, strict=True):
            log.error(
                "a training failed; the device keeps its heads, and its batch is dropped",
                user=user_id,
                batch=train.batch.batch_seq if train.batch else None,
                error=f"{type(error).__name__}: {error}",
            )
            self._tell(user_id, TrainingFailed(), now_ms)

    def _apply(self, job: TrainingJob, result: TrainingResult, now_ms: int) -> None:
        """Put the heads that passed to use and let each device know; results for an outdated model are dropped."""
        slots = np.array([self.slots.get(user_id, 0) for user_id in job.users], np.int64)
        devices = [self.devices.get(user_id) for user_id in job.users]  # None: quarantined meanwhile
        current = np.array([device is not None and device.model == job.model.id for device in devices])
        usable = np.flatnonzero(current[result.device])
        for number in np.unique(result.device[usable]).tolist():
            self.changes.touch(job.users[number])
        if len(usable):
            heads = result.heads.take(usable)
            self.store.keep(slots[result.device[usable]], result.head[usable], heads, factors_of(job.task))
        for user_id, device, train, came in zip(job.users, devices, job.trains, result.devices, strict=True):
            if device is None:
                continue
            observe_training(self._metrics, train, came.batch)
            trained = Trained(
                model=job.model.id,
                accepted=came.accepted,
                compute_ms=came.compute_ms,
                heads_bytes=self.store.heads_bytes(self.slots[user_id]),
                seqs=came.seqs,
                logits=came.logits,
            )
            self._tell(user_id, trained, now_ms)
            self.trainings.append(TrainingRecord.of(user_id, train, came, device.bytes_stored))

    def train_due(self, now_ms: int, cpu_s: Callable[[], float]) -> int:
        """Train every device that is due, here and now; returns how many were."""
        trained = 0
        while (job := self.begin_training(now_ms)) is not None:
            self.finish_training(job.attempt(cpu_s), now_ms)
            trained += len(job.users)
        return trained

    def take_outgoing(self) -> list[tuple[str, Publish]]:
        """What devices want published since the last call, in order, with the user id."""
        outgoing, self._outgoing = self._outgoing, []
        return [(user_id, publish) for user_id, publish in outgoing if user_id in self.devices]

    def take_predictions(self) -> list[Predictions]:
        """Predictions made since the last call."""
        taken, self.predictions = self.predictions, []
        return taken

    def take_trainings(self) -> list[TrainingRecord]:
        """Retrainings finished since the last call."""
        taken, self.trainings = self.trainings, []
        return taken

    def count(self, outcome: Outcome) -> None:
        """One more thing ended so."""
        self.counts[outcome.what, outcome] += 1
        self._metrics.device_outcomes.labels(outcome.what, outcome).inc()
        if isinstance(outcome, Batches):
            self._metrics.batches.labels(outcome).inc()
        elif isinstance(outcome, Trainings):
            self._metrics.trainings.labels(outcome).inc()

    def _handle(self, user_id: str, stimulus: Stimulus, now_ms: int) -> list[Instruction]:
        if user_id in self.quarantine:
            return []
        device = self.device(user_id)
        self.changes.touch(user_id)
        try:
            instructions = device.handle(stimulus, self.clocks.hear(user_id, now_ms))
        except Exception as error:
            self._fail(user_id, type(stimulus).__name__, error)
            return []
        self.clocks.wake(user_id, wakes_ms(device))
        return instructions

    def _tell(self, user_id: str, stimulus: Stimulus, now_ms: int) -> None:
        self._carry_out(user_id, self._handle(user_id, stimulus, now_ms), now_ms)

    def _catch_up(self, user_id: str, now_ms: int) -> None:
        """Give the device the newest model and task if it has older ones."""
        device = self.devices.get(user_id)
        if device is None:
            return
        for news in self.offer.new_to(device):
            self._tell(user_id, news, now_ms)
            if isinstance(news, TaskArrived) and device.task == news.task and user_id in self.slots:
                self.store.configure(self.slots[user_id], news.task)

    def _fail(self, user_id: str, at: str, error: Exception) -> None:
        """What fails for one device may be its data: it goes, and the others stay."""
        self.count(Devices.QUARANTINED)
        self.boot += 1  # after the next start this user's device begins another life
        self.quarantine.take_in(user_id, at, error, len(self.devices))
        self._give_up_events(user_id)
        self._let_go(user_id)

    def _give_up_events(self, user_id: str) -> None:
        """Those that the cloud has not got yet go with their device."""
        for _ in range(len(self.devices[user_id].outbox)):
            self.count(Events.DEVICE_GONE)

    def _let_go(self, user_id: str) -> None:
        self.changes.touch(user_id)
        self.store.release(self.slots.pop(user_id))
        del self.devices[user_id]
        self.clocks.forget(user_id)
        self.due.discard(user_id)
        self._gone.append(user_id)

    def _carry_out(self, user_id: str, instructions: Iterable[Instruction], now_ms: int) -> None:
        """Everything but predictions and trainings, which wait for their batch."""
        for instruction in instructions:
            match instruction:
                case Publish():
                    self._outgoing.append((user_id, instruction))
                case WantTraining():
                    self.due.add(user_id)
                case Count(outcome):
                    self.count(outcome)
                case Freshness(stage, produced_ms):
                    self._metrics.freshness_s.labels(stage).observe(max(0, now_ms - produced_ms) / 1000)
                case Forget():
                    self.store.forget(self.slots[user_id])
                case Untask():
                    self.store.unconfigure(self.slots[user_id])

    def _predict(self, asked: list[tuple[str, Predict]], now_ms: int) -> None:
        """All in one batch; if that fails, one by one, to find out whose rows it fails of."""
        if not asked:
            return
        try:
            rows = Rows.of(
                [p for _, p in asked],
                [self.slots[user_id] for user_id, _ in asked],
                [self.devices[user_id].model.key for user_id, _ in asked],
            )
            predicted = self.store.predict(rows)
        except Exception as error:
            if len(asked) == 1:
                self._fail(asked[0][0], "Predict", error)
            for one in asked if len(asked) > 1 else ():
                self._predict([one] if one[0] in self.devices else [], now_ms)
            return
        versions = [self.devices[user_id].version for user_id, _ in asked]
        self.predictions.append(Predictions.of(asked, versions, rows, predicted))
        self._metrics.predictions.inc(len(asked))
        until_ms = [self.store.models[key].trained_until for key in rows.model.tolist()]
        cloud = predicted.arms[:, ARMS.index("cloud")]
        observe_predictions(self._metrics, rows.timestamp, until_ms, label=rows.label, cloud=cloud)
        teaches = predicted.head_losses, predicted.evidence, predicted.residuals, predicted.leans
        for (user_id, p), logit, *taught in zip(asked, predicted.logit.tolist(), *teaches, strict=True):
            self._tell(user_id, Predicted(p.seq, self.devices[user_id].model, logit, *taught), now_ms)
