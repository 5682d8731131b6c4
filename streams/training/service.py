"""The cloud trainer's I/O: samples and telemetry in, cloud models and signed tasks out."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import structlog

from models.artefact import model_to_bytes
from models.cloud_trainer import LEFT_OUT
from models.sample import SampleBlock, decode_samples
from monitor import metrics
from monitor.waiting import Waiting
from streams.bus import Message
from streams.kafka.bounds import bounds
from streams.kafka.connection import KafkaSettings
from streams.kafka.consumer import BatchConsumer
from streams.kafka.home import home_of
from streams.kafka.producer import CheckedProducer
from streams.kafka.topics import MODELS, SAMPLES, TASKS, TELEMETRY, TRAINER_GROUP
from streams.stop import Stop
from streams.training.cloud_trainer import CloudTrainer
from streams.training.fleet_reports import FleetReports
from streams.training.published import SAMPLES_ID
from streams.training.task_desk import TaskDesk
from wire.errors import ConnectionFailed, DeliveryError, InputError
from wire.malformed import Malformed
from wire.telemetry import Training, decode_report

KEY = b"current"
_BATCH = 5000
_COMMIT_EVERY_S = 1.0
# Between tasks: a trainer that restarts on a week of reports says meanwhile what it knows, not what the first few do.
TASK_EVERY_S = 10.0

_log = structlog.get_logger()


class TrainingService:
    """Runs a `CloudTrainer` on Kafka until `stop`. `published` counts the versions that went out.

    Raises `ConnectionFailed` when Kafka can't be reached at the start; later outages are waited for.
    """

    def __init__(
        self, settings: KafkaSettings, trainer: CloudTrainer, desk: TaskDesk, stop: Stop | None = None
    ) -> None:
        self.trainer = trainer
        self.desk = desk
        self.published = 0
        self._stop = stop or Stop()
        self._settings = settings
        self._producer = CheckedProducer(settings, stopping=lambda: bool(self._stop.signal))
        self._reports = FleetReports()
        self._samples_id = home_of(settings, [SAMPLES]).topics.get(SAMPLES, "").encode()
        self._committed_s = float("-inf")
        self._tasked_s = time.monotonic()
        self._models_end = self._end_of_models()

    def publish_model(self) -> None:
        """Send the trainer's model with what it has learned from; returns when Kafka has it.

        Raises `InputError` when another trainer published since: of two versions with one number nobody takes both.
        """
        if not self._is_alone():
            raise InputError(f"another trainer publishes on {MODELS}: stop one of the two, and start this one again")
        model = self.trainer.model
        headers = {**self.trainer.learned.headers(), SAMPLES_ID: self._samples_id}  # positions in another mean nothing
        self._producer.send(MODELS, KEY, self.desk.sign_model(model_to_bytes(model)), headers=headers)
        self._producer.flush()
        self._models_end += 1
        self.published += 1
        metrics.cloud_versions.inc()
        metrics.model_version.set(model.version)
        left_out = int(model.metrics.get(LEFT_OUT, 0))
        metrics.names_left_out.set(left_out)
        if left_out:
            _log.warning(
                f"the cloud model has no room for {left_out} names, those least taken: they count as unknown; "
                f"max.message.bytes of the topic {MODELS} makes room",
                items=len(model.item_keys),
                categories=len(model.category_keys),
            )
        _log.info("published the cloud model", version=model.version, **model.metrics)

    def _is_alone(self) -> bool:
        """Whether nobody else published since; waits for a Kafka that is away, until told to stop."""
        waiting = Waiting()
        while True:
            try:
                return self._end_of_models() == self._models_end
            except ConnectionFailed as error:
                self._stop.check()
                waiting.go_on(f"Kafka, to publish a version: {error}")

    def _end_of_models(self) -> int:
        return sum(end for _, end in bounds(self._settings, MODELS).values())

    def publish_task(self) -> None:
        """Send the next task, if it says anything new; returns when Kafka has it."""
        signed = self.desk.issue(self._reports, self.trainer.model.lineage)
        if signed is not None and self.desk.current:
            self._producer.send(TASKS, KEY, signed)
            self._producer.flush()
            task = self.desk.current
            _log.info("published the task", version=task.task_version, prior=task.head_prior, repeats=task.repeats)

    def run(self) -> None:
        """Train and publish until told to stop; raises `Stopped`."""
        with self._reading(SAMPLES) as samples, self._reading(TELEMETRY) as telemetry:
            while True:
                self._stop.check()
                self.step(samples, telemetry)

    @contextmanager
    def _reading(self, topic: str) -> Iterator[BatchConsumer]:
        everything = dict.fromkeys(bounds(self._settings, topic))
        with BatchConsumer(self._settings, TRAINER_GROUP, [topic], "earliest", assign=everything) as consumer:
            yield consumer

    def step(self, samples: BatchConsumer, telemetry: BatchConsumer) -> None:
        """Read what there is, and when the refresh interval is over, publish a version that is better, and the task."""
        messages = samples.poll(_BATCH, 0.2)
        if messages:
            self._take(messages)
        for report in telemetry.poll(_BATCH, 0):
            self._hear(report)
        if self.trainer.due(caught_up=not messages):
            self._refresh()
        if time.monotonic() - self._tasked_s > TASK_EVERY_S:
            self._tasked_s = time.monotonic()
            if self.desk.current is not None and self._reports.moved(self.desk.current):
                self.publish_task()
        if time.monotonic() - self._committed_s > _COMMIT_EVERY_S:
            self._committed_s = time.monotonic()
            self._commit(samples, telemetry)

    def _refresh(self) -> None:
        waiting = self.trainer.waiting
        trial = self.trainer.train(lambda _done, _total: self._stop.check())
        if trial is not None:
            metrics.cloud_trials.labels("published" if trial.passed else "held_back").inc()
            if trial.passed:
                self.publish_model()
            else:
                losses = f"{trial.challenger:.4f} against {trial.in_use:.4f} on the newest"
                _log.info(f"held back a cloud model that predicts no better: log-loss {losses}", waiting=waiting)
        self.publish_task()

    def _commit(self, *consumers: BatchConsumer) -> None:
        """Positions for lag tools alone; what is learned travels with the model, so a broker may be away."""
        try:
            for consumer in consumers:
                consumer.commit()
        except DeliveryError as error:
            _log.warning(f"positions not committed, trying again: {error}")

    def _take(self, messages: Sequence[Message]) -> None:
        good, block = _decoded(messages)
        if good:
            partition = np.array([m.partition for m in good], np.int64)
            self.trainer.take(block, partition, np.array([m.offset for m in good], np.int64))

    def _hear(self, message: Message) -> None:
        try:
            report = decode_report(message.value)
        except Malformed as error:
            _log.warning("passed over a malformed report", offset=message.offset, reason=str(error))
            return
        if isinstance(report, Training) and report.model.lineage != self.trainer.model.lineage:
            metrics.reports_passed_over.labels("other_lineage").inc()
        elif isinstance(report, Training) and not self._reports.add(report):
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
