"""What a trainer finds on its topics, whatever clocks said when it was published."""

from streams.bus import Message
from streams.kafka.topics import MODELS, TASKS, TOPICS
from streams.simulation.bus import SimulatedBus
from streams.simulation.dice import Dice
from streams.simulation.journal import Journal
from streams.simulation.kafka import SimulatedKafka
from streams.simulation.timeline import Timeline, VirtualClock
from streams.simulation.trainer import PRIVATE, PUBLIC, signed
from streams.training.cloud_trainer import Learned
from streams.training.published import published_model, published_task
from wire.signing import sign_task
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
