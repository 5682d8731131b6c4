"""One device: a state machine without sockets, clocks or threads.

`handle(stimulus, now_ms)` takes what happened and returns what to do about it. The fleet carries the
instructions out for many devices at once; a test or a simulator can do it one by one. Time only comes in
as `now_ms` (the device's clock, which may be wrong, or a virtual one); windows and histories live in event time.
"""

from collections.abc import Callable
from typing import Any

from device_sim.arrivals import concerns, judge_batch, judge_task, unpacked
from device_sim.aside import Aside
from device_sim.asking import Asking
from device_sim.cloud_clock import CloudClock
from device_sim.instruction import Count, Forget, Freshness, Instruction, Predict, Publish, Train, Untask, WantTraining
from device_sim.outbox import Outbox
from device_sim.outcome import Events, Heads, Models, Stances, Tasks, Unpredicted
from device_sim.parameters import Parameters
from device_sim.readiness import BATCH_WAIT_MS, may_ask, outdated_batch, reason_to_train, uses_heads
from device_sim.report import answer, standing
from device_sim.seen import Seen
from device_sim.stimulus import (
    BatchArrived,
    Connected,
    LinkLost,
    ModelArrived,
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
from device_sim.upcoming import Upcoming
from device_sim.usage import Usage
from device_sim.window import Window
from models.base import NONE
from models.features import Known
from wire.batch import PackedBatch, decode_packed, encode_packed
from wire.event import Event, encode_event
from wire.identity import NO_MODEL, ModelId
from wire.ids import item_key, sample_key
from wire.malformed import Malformed
from wire.moments import NO_EVENT, SKEW_MS, EventMs, WallMs
from wire.outcome import Batches, Trainings
from wire.succession import judge
from wire.task import Task
from wire.telemetry import ASIDE, BACK, Ack, MatchRequest, Training, Upward, encode_report

_LEAVES = {Ack: "ack", Training: "telemetry", MatchRequest: "requests"}


class Device:
    """One user's device. `uploads`: its events reach the cloud only through it, so it keeps an outbox.

    To be read by others: `model` (the cloud model in use) and its number `version` (0: none yet), `task`, `batch` (the
    newest one, of that model), `window`, `outbox`, `connected`, `busy` (a training runs).
    """

    def __init__(self, user_id: str, *, uploads: bool = False, usage: Usage | None = None) -> None:
        defaults = Task(task_version=0)
        self.user_id, self.uploads = user_id, uploads
        self.window = Window(defaults.window_count, defaults.window_age_ms)
        self.known, self.seen, self.outbox = Known(), Seen(), Outbox()
        self.asking, self.upcoming, self.usage = Asking(), Upcoming(), usage or Usage()
        self.aside = Aside(user_id)
        self.task: Task | None = None
        self.parameters = Parameters()  # as they were when they were last taken out of a store
        self.model, self.trained_until, self.model_size = NO_MODEL, 0, 0
        self.batch: PackedBatch | None = None
        self.newest_seq = self.trained_seq = -1  # of batches: received, trained on
        self.connected = self.busy = self.wanting = False
        self.tried = False  # it trained since it forgot its heads: they can gain
        self.stale_heads = False  # the cloud model changed since the last training
        self.hold_until_ms = 0  # give the batch of the new model so long
        self.new_samples = 0  # since the last training
        self.produced_ms = 0  # wall clock of the newest own event
        self.heads_bytes = 0
        self.clock = CloudClock()
        self.cloud_time = NO_EVENT  # how far event time had come when the newest batch was made
        self.batch_since_ms = 0  # when the batch was made, by this device's clock
        self._batch_in_training: PackedBatch | None = None

    def handle(self, stimulus: Stimulus, now_ms: WallMs) -> list[Instruction]:
        """What to do about `stimulus`, in order."""
        return _HANDLERS[type(stimulus)](self, stimulus, self.clock.steady_ms(now_ms))

    @property
    def version(self) -> int:
        """The number of the cloud model in use; 0 before the first."""
        return self.model.version

    @property
    def newest_model(self) -> ModelId:
        """The newest cloud model that it knows of."""
        return self.upcoming.known(self.model)

    @property
    def eligible(self) -> bool:
        """Whether the window can teach: it has `min_samples`; below that the cloud model predicts."""
        if self.task is None or len(self.window) < self.task.min_samples:
            return False
        return self.window.young >= self.task.min_samples

    @property
    def batch_at_rest(self) -> bytes:
        """The newest batch as it came; empty when there is none."""
        return encode_packed(self.batch) if self.batch is not None else b""

    @property
    def bytes_stored(self) -> int:
        """What a phone would keep: model, personal heads, window, what its user took, batch, unsent events."""
        learned_from = self.window.nbytes + self.known.interactions.nbytes + len(self.batch_at_rest)
        return self.model_size + self.heads_bytes + learned_from + self.outbox.nbytes

    def _own_event(self, stimulus: OwnEvent, now_ms: WallMs) -> list[Instruction]:
        event = stimulus.event
        if not self.seen.add(sample_key(event.event_id)):
            return [Count(Events.DUPLICATE)]
        self.produced_ms = max(self.produced_ms, stimulus.produced_ms)
        self.new_samples += 1
        out = self._upload(event, now_ms) if self.uploads else []
        predict = self._remember(event)
        if self.version and not self._learned(event, now_ms):
            return [*out, predict]
        reason = Unpredicted.KNOWN_TO_CLOUD_MODEL if self.version else Unpredicted.NO_CLOUD_MODEL
        return [*out, Count(reason), *self._want_training(now_ms)]

    def _learned(self, event: Event, now_ms: WallMs) -> bool:
        """Whether the cloud model has learned from the event: not if it says so of times that are yet to come."""
        return event.timestamp <= self.trained_until <= now_ms + SKEW_MS

    def _remember(self, event: Event) -> Predict:
        """Put the event into the window, and know it; what a model may see of it was known before it."""
        key = item_key(event.item_id), item_key(event.category_id), event.label, EventMs(event.timestamp)
        features = self.known.take(*key)
        base = NONE if event.base is None else event.base
        seq = self.window.append(*key, taken=features[:2], history=features[2:], base=base)
        return Predict(seq, event.event_id, *key, *features, base, not uses_heads(self))

    def _upload(self, event: Event, now_ms: WallMs) -> list[Instruction]:
        raw = encode_event(event)
        given_up: list[Instruction] = [Count(Events.OUTBOX_FULL)] * self.outbox.add(event.event_id, raw)
        return [*given_up, *self._send_outbox(now_ms)]

    def _predicted(self, stimulus: Predicted, now_ms: WallMs) -> list[Instruction]:
        if stimulus.model == self.model:
            self.window.set_logit(stimulus.seq, stimulus.logit)
        lean = None
        if self.task and self.tried:
            richest = self.task.richest
            lean = float(stimulus.residuals[richest]), float(stimulus.leans[richest])
        gained = self.usage.lost(stimulus.losses, stimulus.evidence, lean)
        before = self.aside.stance
        if self.task is not None:
            self.aside.met(gained, self.task.blend_discount, self.task.gain)
        changed = self._take_stance(before, now_ms) if self.aside.stance is not before else []
        return [*changed, *(self._untrained(now_ms) if self.aside.stands else self._want_training(now_ms))]

    def _untrained(self, now_ms: WallMs) -> list[Instruction]:
        """Report where a training would be due: what the fleet learns from own events waits for none."""
        if self.task is None or not self.connected or self.new_samples < self.task.retrain_every:
            return []
        self.new_samples = 0
        return [self._standing(now_ms)]

    def _take_stance(self, before: Stances, now_ms: WallMs) -> list[Instruction]:
        """Do as it stands now, and tell the cloud whether to make batches.

        What brings back a whole fleet is one task: if each of its devices asked, all their matches and trainings would
        come at once, and again after every so many samples. The next batch that is due comes to each in its own time.
        """
        out: list[Instruction] = [Count(self.aside.stance)]
        if self.aside.stands:
            if self.batch is not None:  # and passed: the one that the broker retains is not to be taken again
                self.newest_seq = self.batch.batch_seq + 1
                out.append(Count(Batches.ASIDE))
            self.batch = None
            self.asking.instead(ASIDE)
            out += self._forget()
        elif before is Stances.ASIDE:
            probes = self.aside.stance is Stances.PROBES
            self.asking.instead("probe" if probes else BACK)
            self.new_samples, self.stale_heads, self.hold_until_ms = 0, probes, now_ms + BATCH_WAIT_MS
        return [*out, *self._ask(now_ms)]

    def _forget(self) -> list[Instruction]:
        self.heads_bytes, self.tried = 0, False
        return [Forget()]

    def _connected(self, _stimulus: Connected, now_ms: WallMs) -> list[Instruction]:
        self.connected = True
        if not self.aside.stands:
            self.asking.want("connected")
        self.asking.hold(now_ms)
        known = self.usage.events or self.usage.batches
        return [*self._send_outbox(now_ms), *([self._standing(now_ms)] if known else [])]

    def _link_lost(self, _stimulus: LinkLost, now_ms: WallMs) -> list[Instruction]:
        self.connected = False
        self.upcoming.clear()  # whoever is back is told of the newest
        self.outbox.link_lost()
        return self._want_training(now_ms)

    def _unheard(self, _stimulus: Unheard, now_ms: WallMs) -> list[Instruction]:
        self.outbox.unheard()
        return self._send_outbox(now_ms)

    def _batch_arrived(self, stimulus: BatchArrived, now_ms: WallMs) -> list[Instruction]:
        self.usage.bytes_down += len(stimulus.raw)
        try:
            batch = decode_packed(stimulus.raw)
            unpacked(batch)  # or it is no use
        except Malformed:
            self.usage.answered(Batches.MALFORMED)
            return [Count(Batches.MALFORMED), self._answer(-1, NO_MODEL, Batches.MALFORMED, now_ms)]
        outcome = judge_batch(self, batch)
        # What another user's batch says of numbers holds for that user.
        self.usage.answered(outcome, batch.batch_seq if batch.user_id == self.user_id else -1)
        out: list[Instruction] = [Count(outcome)]
        if outcome is Batches.ACCEPTED:
            if batch.model != self.model:
                out += self._take_up(now_ms)
            out += self._accept(batch, now_ms)
        if outcome is Batches.ASIDE:
            self.newest_seq = batch.batch_seq
        if outcome is Batches.STALE:  # the cloud knows: a newer one was pushed
            return out
        said = Batches.ACCEPTED if outcome is Batches.REPEATED else outcome
        out.append(self._answer(batch.batch_seq, batch.model, said, now_ms))
        if outcome in (Batches.WRONG_MODEL, Batches.ASIDE):
            self.asking.want(ASIDE if self.aside.stands else outcome)
            out += self._ask(now_ms)
        return [*out, *self._want_training(now_ms)]

    def _accept(self, batch: PackedBatch, now_ms: WallMs) -> list[Instruction]:
        self.batch_since_ms = now_ms - self.clock.heard(WallMs(batch.matched_ms), now_ms)
        self.cloud_time = EventMs(batch.query_timestamp)
        self.batch, self.newest_seq = batch, batch.batch_seq
        self.asking.answered(now_ms)
        if self.upcoming.arrival is not None:
            self.asking.want(Batches.WRONG_MODEL)
            self.asking.next_ms = max(self.asking.next_ms, self.upcoming.asks_ms)
        return [Freshness("pushed", batch.produced_ms)]

    def _model_arrived(self, stimulus: ModelArrived, now_ms: WallMs) -> list[Instruction]:
        self.usage.bytes_down += stimulus.size
        verdict = Models(judge(self.newest_model, stimulus.model, stimulus.replaces))
        if verdict is not Models.ADOPTED:
            return [Count(verdict)]
        self.upcoming.note(stimulus, self.user_id, now_ms)
        if not (self.connected and self.batch is not None and stimulus.model.lineage == self.model.lineage):
            return self._take_up(now_ms)
        self.asking.want(Batches.WRONG_MODEL)
        self.asking.next_ms = self.upcoming.asks_ms
        return []

    def _take_up(self, now_ms: WallMs) -> list[Instruction]:
        """Use the upcoming model from now on; what was made with the one before is of no use any more."""
        arrival = self.upcoming.arrival
        assert arrival is not None, "there is one"
        self.upcoming.clear()
        self.stale_heads, self.hold_until_ms = self.version > 0, now_ms + BATCH_WAIT_MS
        self.model, self.trained_until, self.model_size = arrival.model, arrival.trained_until, arrival.size
        self.window.forget_logits()
        out: list[Instruction] = [Count(Models.ADOPTED), *self._forget()]
        if self.task is not None and not concerns(self, self.task):
            self.task = None
            out += [Count(Tasks.OUTDATED), Untask()]
        if self.batch is not None:
            self.batch = None
            self.asking.want(Batches.WRONG_MODEL)
            out.append(Count(Batches.OUTDATED))
        return [*out, *self._want_training(now_ms)]

    def _task_arrived(self, stimulus: TaskArrived, now_ms: WallMs) -> list[Instruction]:
        task = stimulus.task
        self.usage.bytes_down += stimulus.size
        verdict = judge_task(self, task)
        if verdict is not Tasks.ADOPTED:
            return [Count(verdict)]
        self.task = task
        self.window.resize(task.window_count, task.window_age_ms)
        return [Count(verdict), *self._want_training(now_ms)]

    def _receipt_arrived(self, stimulus: ReceiptArrived, now_ms: WallMs) -> list[Instruction]:
        self.usage.bytes_down += stimulus.size
        self.outbox.confirm(stimulus.event_ids)
        return self._send_outbox(now_ms)

    def _want_training(self, now_ms: WallMs) -> list[Instruction]:
        if self.wanting or not reason_to_train(self, now_ms) or not self.eligible:
            return []
        self.wanting = True
        return [WantTraining()]

    def _training_slot(self, _stimulus: TrainingSlot, now_ms: WallMs) -> list[Instruction]:
        self.wanting = False
        if self.task is None or not reason_to_train(self, now_ms) or not self.eligible:
            return []
        self.busy, self.new_samples, self.stale_heads = True, 0, False
        self._batch_in_training = self.batch
        if self.batch is None:  # none came for so long: what was said to the cloud may be lost
            self.asking.want("expired")
        event_time = EventMs(max(self.window.newest, self.cloud_time))
        return [Train(self.window.rows(), self.window.unencoded(), self.batch, self.task, self.model, event_time)]

    def _trained(self, stimulus: Trained, now_ms: WallMs) -> list[Instruction]:
        self.busy = False
        if stimulus.model != self.model:
            self.stale_heads = True
            self.usage.trained(Trainings.OUTDATED, stimulus.compute_ms)
            return [Count(Trainings.OUTDATED), *self._want_training(now_ms)]
        self.window.set_logits(stimulus.seqs, stimulus.logits)
        self.heads_bytes, self.tried = stimulus.heads_bytes, True
        passed = stimulus.accepted.values()
        outcome = Trainings.ACCEPTED if any(passed) else Trainings.ROLLED_BACK
        self.usage.trained(outcome, stimulus.compute_ms, stimulus.accepted)
        out: list[Instruction] = [Count(outcome), *(self._forget() if self.aside.stands else [])]
        out += [Count(Heads.ACCEPTED if good else Heads.ROLLED_BACK) for good in passed]
        batch = self._batch_in_training
        if batch is not None and batch.batch_seq > self.trained_seq:
            self.trained_seq = batch.batch_seq
            out.append(Freshness("trained", batch.produced_ms))
        if self.connected:
            out.append(self._standing(now_ms))
        return [*out, *self._want_training(now_ms)]

    def _training_failed(self, _stimulus: TrainingFailed, now_ms: WallMs) -> list[Instruction]:
        """Heads stay as they are; a batch that was trained on is dropped, and counts as one that has been passed."""
        self.busy = False
        self.usage.trained(Trainings.FAILED)
        out: list[Instruction] = [Count(Trainings.FAILED)]
        batch = self._batch_in_training
        if batch is not None:
            self.newest_seq = max(self.newest_seq, batch.batch_seq + 1)
            if self.batch is batch:
                self.batch = None
                self.asking.want("expired")
                self.asking.hold(now_ms)
            out.append(Count(Batches.UNTRAINABLE))
        return out

    def _standing(self, now_ms: WallMs) -> Publish:
        """All that the device did, after a training and when the link is back: what went up before may be lost."""
        return self._report(
            standing(
                self.user_id,
                self.usage,
                model=self.model,
                trained_seq=self.trained_seq,
                bytes_stored=self.bytes_stored,
                now_ms=now_ms,
            )
        )

    def _tick(self, _stimulus: Tick, now_ms: WallMs) -> list[Instruction]:
        if outdated_batch(self, now_ms):
            self.asking.want("expired")
        taken_up = self._take_up(now_ms) if now_ms >= self.upcoming.until_ms else []
        return [*taken_up, *self._send_outbox(now_ms), *self._ask(now_ms), *self._want_training(now_ms)]

    def _ask(self, now_ms: WallMs) -> list[Instruction]:
        if not may_ask(self):
            return []
        reason = self.asking.take(now_ms)
        if reason in (ASIDE, BACK):  # which nobody answers
            self.asking.instead("")
        return [self._report(MatchRequest(self.user_id, reason, self.newest_seq))] if reason else []

    def _send_outbox(self, now_ms: WallMs) -> list[Instruction]:
        return [self._up("events", raw) for raw in self.outbox.due(now_ms)] if self.connected else []

    def _answer(self, seq: int, model: ModelId, outcome: Batches, now_ms: WallMs) -> Publish:
        return self._report(answer(self.user_id, self.usage, seq=seq, model=model, outcome=outcome, now_ms=now_ms))

    def _report(self, report: Upward) -> Publish:
        return self._up(_LEAVES[type(report)], encode_report(report))

    def _up(self, leaf: str, payload: bytes) -> Publish:
        self.usage.bytes_up += len(payload)
        return Publish(leaf, payload)


_HANDLERS: dict[type, Callable[[Device, Any, WallMs], list[Instruction]]] = {
    OwnEvent: Device._own_event,
    Predicted: Device._predicted,
    Connected: Device._connected,
    LinkLost: Device._link_lost,
    Unheard: Device._unheard,
    BatchArrived: Device._batch_arrived,
    ModelArrived: Device._model_arrived,
    TaskArrived: Device._task_arrived,
    ReceiptArrived: Device._receipt_arrived,
    TrainingSlot: Device._training_slot,
    Trained: Device._trained,
    TrainingFailed: Device._training_failed,
    Tick: Device._tick,
}
