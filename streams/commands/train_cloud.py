"""`coda train-cloud`: the cloud trainer, until interrupted."""

from contextlib import suppress
from pathlib import Path

import msgspec
import structlog
import torch

from monitor.metrics import Metrics
from streams.kafka.admin import ensure_topics, largest_model
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import probe
from streams.kafka.options import LOCAL_KAFKA, KafkaOptions
from streams.kafka.topics import SAMPLES, TRAINER_GROUP
from streams.logs.data import find_log
from streams.logs.initial_part import initial_samples
from streams.logs.options import AS_FOUND, LogOptions
from streams.logs.slices import INITIAL_SHARE
from streams.metrics_server import metrics_server
from streams.process.lookout import Lookout
from streams.process.pulse import Pulse
from streams.settings import AtLeast0, InitialShare, SomeTime
from streams.stop import Stop, Stopped
from streams.times import Duration
from streams.training.beginning import Beginning, Begun
from streams.training.cloud_trainer import CloudTrainer
from streams.training.published import published_model, published_task, version_again
from streams.training.service import TrainingService
from streams.training.task_desk import TaskDesk, read_task
from wire.clock import SystemClock
from wire.signing import keys_in
from wire.status import Role

_log = structlog.get_logger()


def command(
    *,
    initial_log: str | None = None,
    initial_share: InitialShare = INITIAL_SHARE,
    options: LogOptions = AS_FOUND,
    refresh: SomeTime = Duration.parse("24h"),
    task: Path | None = None,
    classifier: bool = False,
    keys: Path = Path("runs/keys"),
    publish_only: bool = False,
    replace: str = "",
    back_to: AtLeast0 = 0,
    kafka: KafkaOptions = LOCAL_KAFKA,
    metrics_port: AtLeast0 = 0,
    seed: int = 0,
    json: bool = False,
) -> int:
    """Publish cloud model versions and signed training tasks, until interrupted; a second run resumes.

    The first version comes from the initial part of a log, further ones from the topic samples. When the topic models
    has a version already, it goes on from that one.

    Example

    ```
    coda train-cloud --initial-log ml-100k --initial-share 0.6 --refresh 24h
    ```

    Args:
        initial_log: A file, or a name from `coda data list`: needed for the first version only.
        initial_share: How much of the log, by time, the first version learns from.
        refresh: Event time between tries to make a better version.
        task: A JSON file with fields of the training task that differ from their defaults.
        classifier: Devices train a sample classifier, by which the arm `coda` weighs matched samples; `coarse` is the
            same without.
        keys: The folder of the signing keys, made on first use; devices need its cloud.pub, and
            refuse models and tasks that it does not verify.
        replace: The lineage, as pools and devices name it, whose place the published model takes: they change over.
            With an initial log that made none of both, the first version of a new lineage takes the place of both.
        back_to: Publish this version again, as the newest, and end. A trainer that runs has to be stopped before.
        publish_only: Publish the first version, or the newest again, and the task, and end.
        metrics_port: Serve metrics on this port of 127.0.0.1; 0 serves none.
        seed: Of everything that is drawn; the same seed and samples give the same versions.
        json: Print what was published as JSON on standard output, at the end.
    """
    torch.set_num_threads(1)
    wanted, settings = read_task(task, classifier=classifier), kafka.settings()
    bus = KafkaBus(settings)
    # Asked between two steps of a training: an exception out of nowhere can abort torch, or be lost in it.
    stop = Stop()
    probe(settings.bootstrap, properties=settings.properties)
    ensure_topics(settings)
    clock, metrics = SystemClock(), Metrics()
    lookout = Lookout(bus, clock, metrics, stage="learned", group=TRAINER_GROUP, topic=SAMPLES)
    pulse = Pulse(Role.TRAINER, "cloud", bus, clock, metrics, lookouts=[lookout])
    with stop.listening(), suppress(Stopped), metrics_server(metrics_port, metrics.registry), pulse:
        private, public = keys_in(keys)
        limit_bytes = largest_model(settings)
        initial = initial_samples(find_log(initial_log), initial_share, options) if initial_log else None
        if back_to:
            begun = Begun(*version_again(bus, back_to, public), is_new=True)
        else:
            with pulse.hushed():  # a training of the first model shows itself
                begun = Beginning(initial, replace, seed).model(published_model(bus, public), limit_bytes, stop)
        trainer = CloudTrainer(
            begun.model, begun.learned, metrics, refresh_ms=refresh.ms, seed=seed, limit_bytes=limit_bytes
        )
        if initial is not None:
            trainer.remember(initial)
        _log.info("beginning with the cloud model", model=str(begun.model.id))
        desk = TaskDesk(wanted, private, published_task(bus, public))
        service = TrainingService(bus, clock, metrics, trainer, desk, stop=stop)
        try:
            if begun.is_new or publish_only:
                service.offer_model()
            service.offer_task()
            service.publish()
            if not (publish_only or back_to):
                service.run()
        finally:
            service.close()
            if json:
                print(_summary(service))
    return stop.exit_code


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
