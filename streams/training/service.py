"""The cloud trainer's I/O: samples and telemetry in, cloud models and signed tasks out."""

from collections.abc import Sequence

import numpy as np
import structlog

from models.artefact import model_to_bytes
from models.cloud_model import CloudModel
from models.cloud_trainer import LEFT_OUT
from models.sample import SampleBlock, decode_samples
from monitor.metrics import Metrics
from streams.bus import BY_THE_WAY_MS, Bus, Consumer, Message
from streams.kafka.topics import MODELS, SAMPLES, TASKS, TELEMETRY, TRAINER_GROUP
from streams.stop import Stop, Stopped
from streams.training.cloud_trainer import CloudTrainer
from streams.training.fleet_reports import FleetReports
from streams.training.published import SAMPLES_ID
from streams.training.publisher import Publication, Publisher
from streams.training.task_desk import TaskDesk
from wire.clock import Clock
from wire.errors import DeliveryError
from wire.malformed import Malformed
from wire.moments import WallMs
from wire.task import Task
from wire.telemetry import Training, decode_report

_BATCH = 5000
_POLL_S = 0.2
_COMMIT_EVERY_MS = 1_000
_STOP_S = 10.0  # how long somebody who was told to stop still waits for what is on its way
# Between tasks: a trainer that restarts on a week of reports says meanwhile what it knows, not what the first few do.
TASK_EVERY_MS = 10_000

_log = structlog.get_logger()


class TrainingService:
    """A `CloudTrainer` on a bus, a step at a time; `published` counts the versions that went out, `reports` sums up.

    Raises `ConnectionFailed` when Kafka can't be reached at the start; later outages are waited for. A training ends
    with `Stopped` when `stop` says so.
    """

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        metrics: Metrics,
        trainer: CloudTrainer,
        desk: TaskDesk,
        *,
        stop: Stop | None = None,
    ) -> None:
        self.trainer = trainer
        self.desk = desk
        self.published = 0
        self._bus, self._clock, self._metrics, self._stop = bus, clock, metrics, stop or Stop()
        self._publisher = Publisher(bus, clock, stopping=self._stop.told)
        self.reports = FleetReports(metrics)
        self._samples_id = bus.home([SAMPLES]).topics.get(SAMPLES, "").encode()
        self._samples, self._telemetry = self._reading(SAMPLES), self._reading(TELEMETRY)
        self._commit_at_ms = 0
        self._task_at_ms = clock.steady_ms() + TASK_EVERY_MS

    def offer_model(self) -> None:
        """Publish the trainer's model with what it has learned from, in the next steps."""
        model = self.trainer.model
        headers = {**self.trainer.learned.headers(), SAMPLES_ID: self._samples_id}  # positions in another mean nothing
        value = self.desk.sign_model(model_to_bytes(model))
        self._publisher.offer(Publication(MODELS, value, headers, lambda: self._model_arrived(model)))

    def offer_task(self) -> None:
        """Publish the next task in the next steps, if it says anything new."""
        signed, task = self.desk.issue(self.reports, self.trainer.model.lineage), self.desk.current
        if signed is not None and task is not None:
            self._publisher.offer(Publication(TASKS, signed, {}, lambda: self._task_arrived(task)))

    def publish(self) -> None:
        """Live: return when Kafka has what was offered; raises `Stopped`."""
        while not self._publisher.step():
            self._stop.check()

    def run(self) -> None:
        """Live: train and publish until told to stop; raises `Stopped`."""
        while not self._stop.signal:
            self.step()
        self._publisher.finish(_STOP_S)
        raise Stopped

    def step(self) -> None:
        """Publish what is offered. Then read what there is, and see whether there is a version or a task to offer."""
        if not self._publisher.step():
            return
        messages = self._samples.poll(_BATCH, _POLL_S)
        if messages:
            self._take(messages)
        for report in self._telemetry.poll(_BATCH, 0):
            self._hear(report)
        if self.trainer.due(caught_up=not messages):
            self._refresh()
        now_ms = self._clock.steady_ms()
        if now_ms > self._task_at_ms:
            self._task_at_ms = now_ms + TASK_EVERY_MS
            if self.desk.current is not None and self.reports.moved(self.desk.current):
                self.offer_task()
        if now_ms > self._commit_at_ms:
            self._commit_at_ms = now_ms + _COMMIT_EVERY_MS
            self._commit()

    def close(self) -> None:
        """Let the connections go."""
        self._samples.close()
        self._telemetry.close()

    def _reading(self, topic: str) -> Consumer:
        everything = dict.fromkeys(self._bus.bounds(topic))
        return self._bus.consumer(TRAINER_GROUP, [topic], "earliest", assign=everything, within_ms=BY_THE_WAY_MS)

    def _model_arrived(self, model: CloudModel) -> None:
        self.published += 1
        self._metrics.cloud_versions.inc()
        self._metrics.model_version.set(model.version)
        left_out = int(model.metrics.get(LEFT_OUT, 0))
        self._metrics.names_left_out.set(left_out)
        if left_out:
            _log.warning(
                f"the cloud model has no room for {left_out} names, those least taken: they count as unknown; "
                f"max.message.bytes of the topic {MODELS} makes room",
                items=len(model.item_keys),
                categories=len(model.category_keys),
            )
        loss, samples = model.metrics.get("train_log_loss"), int(model.metrics.get("samples", 0))
        _log.info("published the cloud model", version=model.version, samples=samples, log_loss=loss)

    def _task_arrived(self, task: Task) -> None:
        self._metrics.task_version.set(task.task_version)
        _log.info("published the task", version=task.task_version)

    def _refresh(self) -> None:
        waiting = self.trainer.waiting
        trial = self.trainer.train(lambda _done, _total: self._stop.check())
        self._metrics.samples_unlearned.set(self.trainer.waiting)
        if trial is not None:
            self._metrics.cloud_trials.labels("published" if trial.passed else "held_back").inc()
            if trial.passed:
                self.offer_model()
            else:
                losses = f"{trial.challenger:.4f} against {trial.in_use:.4f} on the newest"
                _log.info(f"held back a cloud model that predicts no better: log-loss {losses}", waiting=waiting)
        self.offer_task()

    def _commit(self) -> None:
        """Positions for lag tools alone; what is learned travels with the model, so a broker may be away."""
        try:
            for consumer in (self._samples, self._telemetry):
                consumer.commit()
        except DeliveryError as error:
            _log.warning(f"positions not committed, trying again: {error}")

    def _take(self, messages: Sequence[Message]) -> None:
        good, block = _decoded(messages)
        if good:
            partition = np.array([m.partition for m in good], np.int64)
            self.trainer.take(block, partition, np.array([m.offset for m in good], np.int64))
            self._metrics.samples_read.inc(len(good))
            self._metrics.samples_unlearned.set(self.trainer.waiting)

    def _hear(self, message: Message) -> None:
        try:
            report = decode_report(message.value)
        except Malformed as error:
            _log.warning("passed over a malformed report", offset=message.offset, reason=str(error))
            return
        if isinstance(report, Training) and report.model.lineage != self.trainer.model.lineage:
            self._metrics.reports_passed_over.labels("other_lineage").inc()
        elif isinstance(report, Training) and not self.reports.add(report, WallMs(message.timestamp_ms)):
            _log.warning("passed over a training report without the sums of every head", offset=message.offset)


def _decoded(messages: Sequence[Message]) -> tuple[Sequence[Message], SampleBlock]:
    """The messages that are samples, as messages and as a block; others are told of, one by one."""
    try:
        return messages, decode_samples([m.value for m in messages])
    except Malformed:
        good = [message for message in messages if _is_sample(message)]
        return good, decode_samples([m.value for m in good])


def _is_sample(message: Message) -> bool:
    try:
        decode_samples([message.value])
    except Malformed as error:
        where = f"{message.topic}[{message.partition}] offset {message.offset}"
        _log.warning(f"passed over {where}, which is no sample: {error}")
        return False
    return True
