"""Buses for the contract suite, all with the same face: a simulated one joins by being listed in `KINDS`."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol
from uuid import uuid4

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from streams.bus import Bus, Partition
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.simulation.bus import SimulatedBus
from streams.simulation.dice import Dice
from streams.simulation.journal import Journal
from streams.simulation.kafka import SimulatedKafka
from streams.simulation.timeline import Timeline, VirtualClock


class Stage(Protocol):
    """A bus with one empty `topic` of several partitions, and what a test does to the world around it."""

    bus: Bus
    topic: str

    def until(self, holds: Callable[[], object], what: str) -> None:
        """Let time pass until `holds()`; fails with `what` never came."""

    def drop(self, partition: Partition) -> None:
        """Drop the oldest messages of a partition, at least the first."""


class KafkaStage:
    """Any Kafka."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.bus: Bus = KafkaBus(settings)
        self.topic = f"contract-{uuid4().hex}"
        self._settings = settings
        ensure_topics(settings, [self.topic])

    def until(self, holds: Callable[[], object], what: str) -> None:
        end_s = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < end_s, f"never came: {what}"
            time.sleep(0.01)

    def drop(self, partition: Partition) -> None:
        """Delete what is there; the embedded broker can't be asked for that, but only keeps 5 MB."""
        if self.bus.forgetful:
            producer = self.bus.producer()
            for _ in range(80):
                producer.send(partition[0], "k", os.urandom(96_000), partition=partition[1])
            producer.flush(30)
            return
        end = self.bus.bounds(partition[0])[partition][1]
        admin = AdminClient(self._settings.client("admin"))
        for done in admin.delete_records([TopicPartition(*partition, end)]).values():
            done.result(30)


@contextmanager
def _embedded(_request: pytest.FixtureRequest) -> Iterator[Stage]:
    with EmbeddedKafka() as kafka:
        yield KafkaStage(KafkaSettings(kafka.bootstrap))


@contextmanager
def _apache(request: pytest.FixtureRequest) -> Iterator[Stage]:
    yield KafkaStage(request.getfixturevalue("real_kafka"))


class SimulatedStage:
    """One by a virtual clock."""

    def __init__(self) -> None:
        self._timeline, journal = Timeline(), Journal()
        self._kafka = SimulatedKafka(self._timeline, Dice(1, self._timeline, journal).die("kafka"), journal)
        self.bus: Bus = SimulatedBus(self._kafka, VirtualClock(self._timeline))
        self.topic = "contract"
        self._kafka.create([self.topic])

    def until(self, holds: Callable[[], object], what: str) -> None:
        for _ in range(1000):
            if holds():
                return
            self._timeline.run(self._timeline.now_ms + 100)
        raise AssertionError(f"never came: {what}")

    def drop(self, partition: Partition) -> None:
        log = self._kafka.topics[partition[0]][partition[1]]
        log.drop(log.end)


@contextmanager
def _simulated(_request: pytest.FixtureRequest) -> Iterator[Stage]:
    yield SimulatedStage()


Kind = Callable[[pytest.FixtureRequest], AbstractContextManager[Stage]]
KINDS = [
    pytest.param(_simulated, id="simulated"),
    pytest.param(_embedded, id="embedded"),
    pytest.param(_apache, id="kafka", marks=pytest.mark.servers),
]
