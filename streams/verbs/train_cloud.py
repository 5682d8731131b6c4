"""`coda train-cloud`: the cloud trainer, until interrupted."""

from contextlib import suppress
from pathlib import Path

import msgspec
import structlog
import torch

from models.cloud_trainer import train_first
from streams.kafka.admin import ensure_topics, largest_model
from streams.kafka.connection import DEFAULT_BOOTSTRAP, KafkaSettings, probe
from streams.logs.data import find_log
from streams.logs.head import head_samples
from streams.logs.options import AS_FOUND, LogOptions
from streams.metrics_server import metrics_server
from streams.stop import Stop, Stopped
from streams.training.cloud_trainer import CloudTrainer, Learned
from streams.training.service import TrainingService, published_model, published_task
from streams.training.task_desk import TaskDesk, read_task
from streams.training.view import training_view
from wire.errors import InputError
from wire.signing import keys_in

_MS_PER_H = 3_600_000
_log = structlog.get_logger()


def command(
    *,
    head_log: str | None = None,
    head_share: float = 0.6,
    options: LogOptions = AS_FOUND,
    refresh_h: float = 24,
    task: Path | None = None,
    keys: Path = Path("runs/keys"),
    publish_only: bool = False,
    bootstrap: str = DEFAULT_BOOTSTRAP,
    metrics_port: int = 0,
    seed: int = 0,
    json: bool = False,
) -> int:
    """Publish cloud model versions and signed training tasks, until interrupted; a second run resumes.

    The first version comes from the head of a log, further ones from the topic samples. When the topic models has
    a version already, it goes on from that one.

    ```
    coda train-cloud --head-log ml-100k --head-share 0.6 --refresh-h 24
    ```

    Args:
        head_log: A file, or a name from `coda data list`: needed for the first version only.
        head_share: How much of the log, by time, the first version learns from.
        refresh_h: Event time between tries to make a better version, in hours.
        task: A JSON file with fields of the training task that differ from their defaults.
        keys: The folder of the signing keys, made on first use; devices need its task.pub.
        publish_only: Publish the first version, or the newest again, and the task, and end.
        bootstrap: Kafka, as host:port.
        metrics_port: Serve metrics on this port of 127.0.0.1; 0 serves none.
        seed: Of everything that is drawn; the same seed and samples give the same versions.
        json: Print what was published as JSON on standard output, at the end.
    """
    if refresh_h <= 0:
        raise InputError(f"--refresh-h is {refresh_h:g}: it must be more than 0")
    torch.set_num_threads(1)
    wanted, settings = read_task(task), KafkaSettings(bootstrap)
    stop = (
        Stop()
    )  # asked between two steps of a training: an exception out of nowhere can abort torch, or be lost in it
    with stop.listening(), suppress(Stopped), metrics_server(metrics_port):
        probe(bootstrap)
        ensure_topics(settings)
        private, public = keys_in(keys)
        refresh_ms = int(refresh_h * _MS_PER_H)
        trainer, is_new = _trainer(settings, head_log, head_share, refresh_ms, seed, options=options, stop=stop)
        desk = TaskDesk(wanted, private, published_task(settings, public))
        service = TrainingService(settings, trainer, desk, stop)
        try:
            service.publish_task()
            if is_new or publish_only:
                service.publish_model()
            if not publish_only:
                service.run()
        finally:
            if json:
                print(_summary(service))  # noqa: T201
    return stop.exit_code


def _trainer(
    settings: KafkaSettings,
    head_log: str | None,
    head_share: float,
    refresh_ms: int,
    seed: int,
    *,
    options: LogOptions,
    stop: Stop,
) -> tuple[CloudTrainer, bool]:
    """The trainer, and whether its model is yet to be published."""
    limit_bytes = largest_model(settings)
    found = published_model(settings)
    if found is not None:
        model, learned = found
        _log.info("going on from the published cloud model", version=model.version)
        trainer = CloudTrainer(model, learned, refresh_ms=refresh_ms, seed=seed, limit_bytes=limit_bytes)
        return trainer, False
    if head_log is None:
        raise InputError("no cloud model is published yet: give --head-log LOG to train the first one from")
    block = head_samples(find_log(head_log), head_share, options)
    with training_view("training the first cloud model") as show:

        def progress(done: int, total: int) -> None:
            stop.check()
            show(done, total)

        model = train_first([block], seed, progress, limit_bytes=limit_bytes)
    learned = Learned(model.trained_until, {})
    trainer = CloudTrainer(model, learned, refresh_ms=refresh_ms, seed=seed, limit_bytes=limit_bytes)
    trainer.remember(block)
    return trainer, True


def _summary(service: TrainingService) -> str:
    model, task = service.trainer.model, service.desk.current
    document = {
        "version": model.version,
        "trained_until": model.trained_until,
        "published": service.published,
        "task_version": task.task_version if task else 0,
        "metrics": model.metrics,
    }
    return msgspec.json.encode(document).decode()
