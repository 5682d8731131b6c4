from typing import Any

import pytest

from streams.kafka.topics import MODELS, TASKS
from streams.training.publisher import Publication, Publisher
from tests.clock import HandClock
from tests.streams.scripted import ScriptedBus
from wire.errors import ConnectionFailed, DeliveryError, InputError


class World:
    """A topic of models that a test lets grow, or takes away."""

    def __init__(self) -> None:
        self.end, self.away, self.arrived = 3, False, list[str]()
        self.bus = ScriptedBus(self._ends)
        unchecked: Any = self.bus
        self.publisher = Publisher(unchecked, HandClock(), stopping=lambda: False)
        self.producer = self.bus.producers[0]

    def _ends(self) -> int:
        if self.away:
            raise ConnectionFailed("away")
        return self.end

    def offer(self, topic: str, value: str) -> None:
        self.publisher.offer(Publication(topic, value.encode(), {}, lambda: self.arrived.append(value)))


def test_what_is_offered_goes_out_in_order_each_when_the_one_before_has_arrived() -> None:
    world = World()
    world.offer(MODELS, "model")
    world.offer(TASKS, "task")
    world.producer.takes = False
    assert not world.publisher.step() and not world.publisher.step()
    assert world.producer.sent == [(MODELS, b"model")] and world.arrived == []
    world.producer.takes, world.end = True, 4
    assert not world.publisher.step() and world.arrived == ["model"]
    assert world.publisher.step() and world.arrived == ["model", "task"]
    assert world.publisher.step(), "nothing is left"


def test_of_two_that_publish_models_the_one_that_notices_ends() -> None:
    world = World()
    world.end += 1
    world.offer(MODELS, "model")
    with pytest.raises(InputError, match="another trainer"):
        world.publisher.step()
    assert world.producer.sent == []


def test_its_own_models_are_nobody_elses() -> None:
    world = World()
    for value in ("1", "2", "3"):
        world.offer(MODELS, value)
        world.publisher.step()
        world.end += 1
        assert world.publisher.step()
    assert world.arrived == ["1", "2", "3"]


def test_a_kafka_that_is_away_is_asked_again_in_the_next_step() -> None:
    world = World()
    world.away = True
    world.offer(MODELS, "model")
    assert not world.publisher.step() and world.producer.sent == []
    world.away = False
    world.publisher.step()
    assert world.publisher.step() and world.arrived == ["model"]


def test_a_model_that_kafka_refuses_is_an_error() -> None:
    world = World()
    world.offer(MODELS, "model")
    world.publisher.step()
    world.producer.fails = True
    with pytest.raises(DeliveryError):
        world.publisher.step()


def test_who_ends_waits_for_what_is_sent_and_sends_no_more() -> None:
    world = World()
    world.offer(MODELS, "model")
    world.offer(TASKS, "task")
    world.publisher.step()
    world.publisher.finish(1)
    assert world.arrived == ["model"] and world.producer.sent == [(MODELS, b"model")]
