from typing import Any

import pytest
from structlog.testing import capture_logs

from streams.bus import Message
from streams.kafka.topics import MODELS, TASKS
from streams.simulation.trainer import signed
from streams.training.publisher import Publication, Publisher
from tests.clock import HandClock
from tests.streams.scripted import ScriptedBus
from wire.errors import ConnectionFailed, DeliveryError, InputError

PASSED_OVER = "passed over what came on models and is no model"


class World:
    """A topic of models that a test lets grow, or takes away."""

    def __init__(self) -> None:
        self.end, self.away, self.arrived = 3, False, list[str]()
        self.away_after_that = False
        self.there = list[Message]()
        self.bus = ScriptedBus(self._ends, self.there)
        unchecked: Any = self.bus
        self.publisher = Publisher(unchecked, HandClock(), stopping=lambda: False)
        self.producer = self.bus.producers[0]

    def _ends(self) -> int:
        if self.away:
            raise ConnectionFailed("away")
        self.bus.away = self.away_after_that
        return self.end

    def comes(self, value: bytes) -> None:
        self.there.append(Message(MODELS, 0, self.end, b"current", value, 0, {}))
        self.end += 1

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
    world.comes(signed(1, 7))
    world.offer(MODELS, "model")
    with pytest.raises(InputError, match="another trainer"):
        world.publisher.step()
    assert world.producer.sent == []


def test_between_its_own_models_that_of_another_is_noticed() -> None:
    world = World()
    for value in ("1", "2"):
        world.offer(MODELS, value)
    world.publisher.step()
    world.comes(b"1")
    world.comes(signed(1, 7))
    with pytest.raises(InputError, match="another trainer"):
        world.publisher.step()


def test_a_kafka_that_goes_away_before_it_has_said_what_came_is_asked_for_that_again() -> None:
    world = World()
    world.comes(signed(1, 7))
    world.offer(MODELS, "model")
    world.away_after_that = True
    assert not world.publisher.step()
    world.away_after_that = False
    with pytest.raises(InputError, match="another trainer"):
        world.publisher.step()


def test_what_comes_on_the_topic_and_is_no_model_is_told_of_and_passed_over() -> None:
    world = World()
    for junk in (b"", b"{}", signed(1, 7)[:-1], b"\xc1"):
        world.comes(junk)
    world.offer(MODELS, "1")
    with capture_logs() as lines:
        world.publisher.step()
    assert [(line["event"], line["number"]) for line in lines] == [(PASSED_OVER, 4)]
    world.comes(b"1")
    world.comes(b"junk")
    world.offer(MODELS, "2")
    with capture_logs() as lines:
        world.publisher.step()
    assert world.producer.sent == [(MODELS, b"1"), (MODELS, b"2")]
    assert [(line["event"], line["number"]) for line in lines] == [(PASSED_OVER, 1)]


def test_a_topic_that_was_made_anew_has_nobody_elses_models() -> None:
    world = World()
    world.end = 0
    world.offer(MODELS, "model")
    assert not world.publisher.step() and world.producer.sent == [(MODELS, b"model")]


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
