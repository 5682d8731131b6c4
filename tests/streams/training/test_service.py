"""The trainer on the embedded Kafka: versions, tasks, resuming, and messages that are none."""

import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.blend import HEADS
from models.cloud_model import CloudModel
from models.cloud_trainer import Progress, train_first
from models.sample import SampleBlock
from monitor.metrics import Metrics
from streams.commands.train_cloud import command
from streams.kafka.admin import largest_model
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.options import KafkaOptions
from streams.kafka.producer import CheckedProducer
from streams.kafka.topics import SAMPLES, TASKS, TELEMETRY, TRAINER_GROUP
from streams.stop import Stopped
from streams.training.cloud_trainer import CloudTrainer, Learned
from streams.training.published import published_model, published_task
from streams.training.service import TrainingService
from streams.training.task_desk import TaskDesk, read_task
from tests.models.samples import messages_of, tasteful_samples, wide_catalogue
from tests.streams.kafka.lag import lag
from tests.wire.reports import training
from wire.clock import SystemClock
from wire.errors import ArtefactError, InputError
from wire.identity import ModelId
from wire.signing import keys_in, new_keys, open_task, sign_task
from wire.task import Task
from wire.telemetry import encode_report

REST = tasteful_samples(2000, seed=2, start=1000)
TURNED = replace(REST, label=1 - REST.label)  # whatever learns of it predicts it better than what has not


@pytest.fixture(autouse=True)
def fewer_samples_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.training.cloud_trainer.LEAST_NEW", 250)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    block = tasteful_samples(1000, seed=1)
    columns = (block.user, block.item, block.category, block.label, block.timestamp)
    lines = (f"{u},{i},{c},view,{y},{t}" for u, i, c, y, t in zip(*(a.tolist() for a in columns), strict=True))
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["user_id,item_id,category_id,event_type,label,timestamp", *lines, ""]))
    return path


def test_without_a_model_or_a_log_it_says_what_to_give(tmp_path: Path) -> None:
    with EmbeddedKafka() as kafka, pytest.raises(InputError, match="--initial-log"):
        command(kafka=_at(kafka), keys=tmp_path)


def test_first_version_next_version_and_resume(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = tmp_path / "keys"
    with EmbeddedKafka() as kafka:
        settings = KafkaSettings(kafka.bootstrap)
        command(initial_log=str(log), initial_share=1.0, kafka=_at(kafka), keys=keys, publish_only=True, json=True)
        (document,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
        said = msgspec.json.decode(document)
        assert said["version"] == said["task_version"] == said["published"] == 1
        _run_once(settings, keys, TURNED.take(slice(0, 1000)))
        _run_once(settings, keys, TURNED.take(slice(1000, 2000)))
        model, learned = _published(settings, keys)
        assert model.version == 3 and model.trained_until == 3_000_000
        assert model.metrics["samples"] > 1000, "older samples are rehearsed after a restart"
        assert sum(learned.positions.values()) >= 2000
        task = published_task(KafkaBus(settings), keys_in(keys)[1])
        assert task is not None and task.task_version >= 2 and task.head_prior["coda"] == 0 > task.head_prior["cloud"]
        with pytest.raises(ArtefactError, match="--keys"):
            published_task(KafkaBus(settings), keys_in(tmp_path / "other")[1])


def _at(kafka: EmbeddedKafka) -> KafkaOptions:
    return KafkaOptions(kafka.bootstrap)


def _run_once(settings: KafkaSettings, keys: Path, block: SampleBlock) -> None:
    """Send samples and one report, run a resumed trainer until its next version is out, and end it as Ctrl-C does."""
    producer = CheckedProducer(settings)
    # One key, one partition: of several, the trainer may have read only some when a version is due.
    producer.send_many(SAMPLES, [b"one"] * len(block), messages_of(block))
    producer.send(SAMPLES, b"ann", b"no sample")
    losses = dict.fromkeys(HEADS, 400.0) | {"coda": 300.0}
    model, learned = _published(settings, keys)
    report = training("ann", 9, losses, model=model.id)
    producer.send(TELEMETRY, b"ann", encode_report(report))
    producer.send(TELEMETRY, b"ann", b"{}")
    producer.flush()
    metrics = Metrics()
    trainer = CloudTrainer(model, learned, metrics, refresh_ms=900_000, seed=1)
    private, public = keys_in(keys)
    desk = TaskDesk(read_task(None), private, published_task(KafkaBus(settings), public))
    with pytest.raises(Stopped):
        _Interrupted(KafkaBus(settings), SystemClock(), metrics, trainer, desk).run()


def _published(settings: KafkaSettings, keys: Path) -> tuple[CloudModel, Learned]:
    return published_model(KafkaBus(settings), keys_in(keys)[1]) or pytest.fail("no model")


class _Interrupted(TrainingService):
    """Ends when it has published a version and what devices report, which may come later than the samples."""

    def step(self) -> None:
        super().step()
        if self.published and self.reports.events:
            self.offer_task()
            self.publish()
            self._stop.signal = signal.SIGINT


def test_ctrl_c_within_a_training_ends_it_and_publishes_nothing(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(blocks: object, seed: int, progress: Progress, *, limit_bytes: int) -> CloudModel:
        signal.raise_signal(signal.SIGINT)
        progress(1, 2)
        pytest.fail("it went on")

    monkeypatch.setattr("streams.training.beginning.train_first", interrupted)
    with EmbeddedKafka() as kafka:
        assert command(initial_log=str(log), kafka=_at(kafka), keys=tmp_path) == 130
        assert published_model(KafkaBus(KafkaSettings(kafka.bootstrap)), keys_in(tmp_path)[1]) is None


def test_lag_tools_see_what_was_read(log: Path, tmp_path: Path) -> None:
    with EmbeddedKafka() as kafka:
        settings = KafkaSettings(kafka.bootstrap)
        command(initial_log=str(log), initial_share=1.0, kafka=_at(kafka), keys=tmp_path, publish_only=True)
        model, learned = _published(settings, tmp_path)
        producer = CheckedProducer(settings)
        producer.send_many(SAMPLES, [b"ann"] * 50, messages_of(REST.take(np.arange(50))))
        producer.flush()
        metrics = Metrics()
        service = TrainingService(
            KafkaBus(settings),
            SystemClock(),
            metrics,
            CloudTrainer(model, learned, metrics, refresh_ms=10**12, seed=0),
            TaskDesk(read_task(None), keys_in(tmp_path)[0], None),
        )
        with closing(service):
            deadline = time.monotonic() + 20
            while service.trainer.waiting < 50 or sum(lag(kafka.bootstrap, TRAINER_GROUP, SAMPLES).values()) > 0:
                assert time.monotonic() < deadline
                service.step()


def test_a_version_that_is_no_better_is_held_back_aloud(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    misleading = SampleBlock.concat([TURNED.take(slice(0, 800)), REST.take(slice(800, 1000))])
    with EmbeddedKafka() as kafka:
        settings = KafkaSettings(kafka.bootstrap)
        command(initial_log=str(log), initial_share=1.0, kafka=_at(kafka), keys=tmp_path, publish_only=True)
        model, learned = _published(settings, tmp_path)
        # The samples span 1,000 s, of which the last few are one user's word alone.
        metrics = Metrics()
        trainer = CloudTrainer(model, learned, metrics, refresh_ms=990_000, seed=1)
        service = TrainingService(
            KafkaBus(settings), SystemClock(), metrics, trainer, TaskDesk(read_task(None), keys_in(tmp_path)[0], None)
        )
        producer = CheckedProducer(settings)
        producer.send_many(SAMPLES, [b"one"] * len(misleading), messages_of(misleading))
        producer.flush()
        with closing(service):
            deadline = time.monotonic() + 30
            while not metrics.value(Metrics.cloud_trials, outcome="held_back"):
                assert time.monotonic() < deadline
                service.step()
            service.step()
        assert metrics.value(Metrics.cloud_trials, outcome="held_back") == 1, "it is not tried again at once"
        assert service.published == 0 and trainer.waiting == 1000 and trainer.learned == learned
        assert service.desk.current is not None, "the task goes out all the same"
    assert "held back a cloud model that predicts no better: log-loss" in capsys.readouterr().out


def test_what_devices_report_goes_out_while_there_is_more_to_read(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trainer that restarts on many reports; those of one device in order, the newest of which counts."""
    monkeypatch.setattr("streams.training.service.TASK_EVERY_MS", 0)
    monkeypatch.setattr("streams.training.service._BATCH", 50)
    with EmbeddedKafka() as kafka:
        settings = KafkaSettings(kafka.bootstrap)
        command(initial_log=str(log), initial_share=1.0, kafka=_at(kafka), keys=tmp_path, publish_only=True)
        service = _service(settings, *_published(settings, tmp_path), tmp_path)
        service.offer_task()
        service.publish()
        producer = CheckedProducer(settings)
        for n in range(1, 201):
            losses = dict.fromkeys(HEADS, 40.0 * n) | {"coda": 30.0 * n}
            report = training("ann", n, losses, sequence=n, model=service.trainer.model.id)
            producer.send(TELEMETRY, b"ann", encode_report(report))
        producer.flush()
        with closing(service):
            deadline = time.monotonic() + 30
            while service.desk.current and service.desk.current.task_version == 1:
                assert time.monotonic() < deadline
                service.step()
            assert 0 < service.reports.events < 200, "it has not read everything"
            while service.reports.events < 200:
                assert time.monotonic() < deadline
                service.step()


def test_of_empty_topics_nothing_is_published() -> None:
    public = new_keys()[1]
    with EmbeddedKafka() as kafka:
        bus = KafkaBus(KafkaSettings(kafka.bootstrap))
        assert published_model(bus, public) is None and published_task(bus, public) is None


def test_tasks_open_with_the_key_that_devices_get(log: Path, tmp_path: Path) -> None:
    with EmbeddedKafka() as kafka:
        command(initial_log=str(log), initial_share=0.9, kafka=_at(kafka), keys=tmp_path, publish_only=True)
        bus = KafkaBus(KafkaSettings(kafka.bootstrap))
        (message,) = bus.read("test", bus.bounds(TASKS))
        assert message.key == b"current"
        assert open_task(message.value, keys_in(tmp_path)[1]).task_version == 1


@pytest.mark.parametrize("poison", [b"", b"{}", b"\x91" * 100_000])
def test_what_is_no_task_is_passed_over(tmp_path: Path, poison: bytes) -> None:
    keys = tmp_path / "keys"
    with EmbeddedKafka() as kafka:
        settings = KafkaSettings(kafka.bootstrap)
        producer = CheckedProducer(settings)
        producer.send(TASKS, b"current", poison)
        producer.flush()
        assert published_task(KafkaBus(settings), keys_in(keys)[1]) is None
        producer.send(TASKS, b"current", sign_task(Task(task_version=7), keys_in(keys)[0]))
        producer.send(TASKS, b"current", poison)
        producer.flush()
        found = published_task(KafkaBus(settings), keys_in(keys)[1])
        assert found and found.task_version == 7
        with pytest.raises(ArtefactError, match="--keys"):
            published_task(KafkaBus(settings), keys_in(tmp_path / "other")[1])


def test_a_catalogue_that_no_message_holds_is_published_without_its_rarest_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """130,000 items, in a log's initial part and then again by a trainer that resumes from what another published."""
    block = wide_catalogue(9000, items=130_000, seed=4)
    turned = replace(block, label=1 - block.label)
    with EmbeddedKafka() as kafka:
        settings = KafkaSettings(kafka.bootstrap, model_bytes=1 << 20)
        limit_bytes = largest_model(settings)
        model = train_first([turned.take(slice(0, 6000))], seed=0, limit_bytes=limit_bytes)
        publish(_service(settings, model, Learned(model.trained_until, {}), tmp_path))
        metrics = Metrics()
        resumed = _service(settings, *_published(settings, tmp_path), tmp_path, metrics)
        rest = block.take(slice(6000, None))
        resumed.trainer.take(rest, np.zeros(3000, np.int64), np.arange(3000))
        assert resumed.trainer.train()
        publish(resumed)
        again, _ = _published(settings, tmp_path)
        assert again.version == 2 and len(again.item_keys) > (limit_bytes - 40_000) // 72
        assert metrics.value(Metrics.names_left_out) == again.metrics["names_left_out"] > 0
    assert "the cloud model has no room for" in capsys.readouterr().out


def publish(service: TrainingService) -> None:
    service.offer_model()
    service.publish()


def _service(
    settings: KafkaSettings, model: CloudModel, learned: Learned, keys: Path, metrics: Metrics | None = None
) -> TrainingService:
    metrics = metrics or Metrics()
    trainer = CloudTrainer(model, learned, metrics, refresh_ms=1000, seed=0, limit_bytes=largest_model(settings))
    return TrainingService(
        KafkaBus(settings), SystemClock(), metrics, trainer, TaskDesk(read_task(None), keys_in(keys)[0], None)
    )


def test_going_back_publishes_an_older_version_as_the_newest(log: Path, tmp_path: Path) -> None:
    with EmbeddedKafka() as kafka:
        settings = KafkaSettings(kafka.bootstrap)
        first = {"initial_share": 1.0, "kafka": _at(kafka), "keys": tmp_path, "publish_only": True}
        command(initial_log=str(log), **first)  # type: ignore[arg-type]
        model, learned = _published(settings, tmp_path)
        worse = replace(model.as_version(2), trained_until=model.trained_until + 1)
        publish(_service(settings, worse, Learned(5, {0: 9}), tmp_path))
        with pytest.raises(InputError, match="keeps 1 to go back to"):
            command(kafka=_at(kafka), keys=tmp_path, back_to=7)
        assert command(kafka=_at(kafka), keys=tmp_path, back_to=1) == 0
        again, positions = _published(settings, tmp_path)
        assert (again.lineage, again.version, positions) == (model.lineage, 3, learned)
        assert again.trained_until == model.trained_until and (again.weights.items == model.weights.items).all()


def test_a_trainer_beside_which_another_publishes_ends_and_says_so(log: Path, tmp_path: Path) -> None:
    with EmbeddedKafka() as kafka:
        settings = KafkaSettings(kafka.bootstrap)
        model = train_first([TURNED], seed=0)
        one, other = (_service(settings, model, Learned(model.trained_until, {}), tmp_path) for _ in range(2))
        publish(one)
        publish(one)
        with pytest.raises(InputError, match="another trainer"):
            publish(other)


def test_of_two_lineages_on_the_topic_it_goes_on_from_the_one_in_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with EmbeddedKafka() as kafka:
        settings = KafkaSettings(kafka.bootstrap)
        model = train_first([TURNED], seed=0)
        for each in (model, replace(model, lineage="00000000000000aa", version=9)):
            publish(_service(settings, each, Learned(model.trained_until, {}), tmp_path))
        found, _ = _published(settings, tmp_path)
        assert (found.lineage, found.version) == (model.lineage, 1)
    assert f"--replace {model.lineage}" in capsys.readouterr().out


def test_a_kafka_that_is_away_when_a_version_goes_out_is_waited_for(tmp_path: Path) -> None:
    code = (
        "import time; from streams.kafka.embedded import EmbeddedKafka\n"
        "with EmbeddedKafka() as kafka: print(kafka.bootstrap, flush=True); time.sleep(100)"
    )
    model = train_first([tasteful_samples(200, seed=1)], seed=0)
    with (
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as broker,
        ExitStack() as afterwards,
    ):
        afterwards.callback(broker.kill)  # stopped, it would never end by itself
        assert broker.stdout is not None
        settings = KafkaSettings(broker.stdout.readline().strip())
        service = _service(settings, model, Learned(model.trained_until, {}), tmp_path)
        broker.send_signal(signal.SIGSTOP)
        back = threading.Timer(7, lambda: broker.send_signal(signal.SIGCONT))  # longer than a probe would wait
        back.start()
        publish(service)
        assert service.published == 1 and not back.is_alive()
        found = published_model(KafkaBus(settings), keys_in(tmp_path)[1])
        assert found is not None and found[0].version == model.version


def test_reports_of_devices_on_another_lineage_teach_this_one_nothing(log: Path, tmp_path: Path) -> None:
    with EmbeddedKafka() as kafka:
        settings = KafkaSettings(kafka.bootstrap)
        command(initial_log=str(log), initial_share=1.0, kafka=_at(kafka), keys=tmp_path, publish_only=True)
        service = _service(settings, *_published(settings, tmp_path), tmp_path)
        mine = service.trainer.model.id
        producer = CheckedProducer(settings)
        for user, model in (("ann", ModelId("00000000000000aa", 1)), ("bob", mine)):
            producer.send(TELEMETRY, b"one", encode_report(training(user, 5, 1.0, model=model)))
        producer.flush()
        with closing(service):
            deadline = time.monotonic() + 30
            while not service.reports.events:
                assert time.monotonic() < deadline
                service.step()
        assert service.reports.events == 5
