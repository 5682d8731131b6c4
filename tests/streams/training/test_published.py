"""What a trainer finds on its topics, whatever clocks said and strangers sent when it was published."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.artefact import model_to_bytes
from models.cloud_trainer import train_first
from streams.bus import Message
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.producer import CheckedProducer
from streams.kafka.topics import MODELS, TASKS, TOPICS
from streams.simulation.bus import SimulatedBus
from streams.simulation.dice import Dice
from streams.simulation.journal import Journal
from streams.simulation.kafka import SimulatedKafka
from streams.simulation.timeline import Timeline, VirtualClock
from streams.simulation.trainer import PRIVATE, PUBLIC, signed
from streams.training.cloud_trainer import Learned
from streams.training.published import SAMPLES_ID, published_model, published_task, version_again
from tests.models.samples import tasteful_samples
from wire.errors import ArtefactError
from wire.signing import keys_in, new_keys, sign_model, sign_task
from wire.task import Task


def test_the_newest_is_the_last_one_though_the_clock_was_set_back() -> None:
    timeline, journal = Timeline(), Journal()
    kafka = SimulatedKafka(timeline, Dice(1, timeline, journal).die("kafka"), journal)
    kafka.create(TOPICS)
    for version, timestamp_ms in ((1, 5_000), (2, 90_000), (3, 10)):
        for topic, value in ((TASKS, sign_task(Task(task_version=version), PRIVATE)), (MODELS, signed(1, version))):
            kafka.append(Message(topic, 0, 0, b"current", value, timestamp_ms, Learned(0, {}).headers()))
    bus = SimulatedBus(kafka, VirtualClock(timeline))
    task, model = published_task(bus, PUBLIC), published_model(bus, PUBLIC)
    assert task is not None and task.task_version == 3
    assert model is not None and model[0].version == 3


def test_who_goes_back_still_takes_the_place_of_what_was_replaced_meanwhile() -> None:
    """Devices and pools that were away have the replaced lineage, and would refuse what does not say so."""
    timeline, journal = Timeline(), Journal()
    kafka = SimulatedKafka(timeline, Dice(1, timeline, journal).die("kafka"), journal)
    kafka.create(TOPICS)
    first = train_first([tasteful_samples(200, seed=1)], seed=0)
    later = replace(first.as_version(2), replaces=("00000000000000bb",))
    for model in (first, later):
        value = sign_model(model_to_bytes(model), PRIVATE)
        kafka.append(Message(MODELS, 0, 0, b"current", value, 5_000, Learned(0, {}).headers()))
    model, _ = version_again(SimulatedBus(kafka, VirtualClock(timeline)), 1, PUBLIC)
    assert (model.version, model.replaces) == (3, later.replaces)


def test_positions_in_a_topic_of_samples_that_was_made_anew_are_forgotten(tmp_path: Path) -> None:
    block = tasteful_samples(200, seed=1)
    learned, message = Learned(1000, {0: 99}), model_to_bytes(train_first([block], seed=0))
    value = sign_model(message, keys_in(tmp_path)[0])
    with EmbeddedKafka() as kafka:
        settings = KafkaSettings(kafka.bootstrap)
        producer = CheckedProducer(settings)
        for samples_id, positions in ((b"", {0: 99}), (b"of another topic", {})):
            producer.send(MODELS, b"current", value, headers={**learned.headers(), SAMPLES_ID: samples_id})
            producer.flush()
            _, found = published_model(KafkaBus(settings), keys_in(tmp_path)[1]) or pytest.fail("no model")
            assert (found.initial_until, found.positions) == (1000, positions)


def test_models_that_another_key_signed_are_followed_up_by_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger, _ = new_keys()
    private, public = keys_in(tmp_path)
    first = train_first([tasteful_samples(200, seed=1)], seed=0)
    headers = Learned(1, {}).headers()
    with EmbeddedKafka() as kafka:
        settings = KafkaSettings(kafka.bootstrap)
        producer = CheckedProducer(settings)
        forged = sign_model(model_to_bytes(first.as_version(9)), stranger)
        producer.send(MODELS, b"current", forged, headers=headers)
        producer.flush()
        with pytest.raises(ArtefactError, match="no model on models is ours to follow up"):
            published_model(KafkaBus(settings), public)
        producer.send(MODELS, b"current", sign_model(model_to_bytes(first), private), headers=headers)
        producer.send(MODELS, b"current", forged, headers=headers)
        producer.flush()
        found = published_model(KafkaBus(settings), public)
    assert found is not None and found[0].version == first.version
    assert "model refused (unsigned)" in capsys.readouterr().out
