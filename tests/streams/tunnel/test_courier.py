from typing import Any

import pytest
from structlog.testing import capture_logs

from streams.tunnel.courier import PATIENCE_MS, Courier
from streams.tunnel.upload import Letter
from tests.clock import HandClock
from tests.streams.scripted import ScriptedBus
from wire.errors import DeliveryError

LETTERS = [Letter("events", b"ann", b"1"), Letter("events", b"ann", b"2")]


def courier() -> tuple[Courier, ScriptedBus, HandClock]:
    bus, clock = ScriptedBus(), HandClock()
    unchecked: Any = bus
    return Courier(unchecked, clock), bus, clock


def test_a_batch_has_arrived_when_kafka_has_all_of_it() -> None:
    one, bus, _ = courier()
    bus.producers[0].takes = False
    one.take(LETTERS, [])
    assert not one.arrived()
    assert bus.producers[0].sent == [("events", b"1"), ("events", b"2")]
    bus.producers[0].takes = True
    assert one.arrived()


def test_a_batch_that_a_producer_gave_up_on_goes_to_a_new_one_whole() -> None:
    one, bus, _ = courier()
    bus.producers[0].fails = True
    one.take(LETTERS, [])
    with capture_logs() as lines:
        assert not one.arrived()
    assert "does not take uploads" in lines[0]["event"] and lines[0]["waiting"] == 2
    assert one.arrived()
    assert bus.producers[1].sent == bus.producers[0].sent


def test_a_producer_that_gives_up_while_a_batch_is_handed_over_is_replaced_too() -> None:
    one, bus, _ = courier()
    first = bus.producers[0]
    first.most = 1
    one.take(LETTERS, [])
    with capture_logs() as lines:
        assert not one.arrived(), "as a queue that is full waits until its oldest messages are given up"
    assert [line["waiting"] for line in lines] == [2]
    assert one.arrived()
    assert (len(first.sent), len(bus.producers[1].sent)) == (1, 2)


def test_a_kafka_that_takes_long_is_told_of_each_time_it_does() -> None:
    one, bus, clock = courier()
    bus.producers[0].takes = False
    one.take(LETTERS, [])
    with capture_logs() as lines:
        for _ in range(100):
            clock.passes(PATIENCE_MS // 10)
            assert not one.arrived()
    assert len(lines) == 10


def test_a_kafka_that_refuses_at_once_is_told_of_with_its_reason_and_not_with_every_try() -> None:
    one, bus, clock = courier()
    one.take(LETTERS, [])
    with capture_logs() as lines:
        for _ in range(100):
            bus.producers[-1].fails = True
            clock.passes(PATIENCE_MS // 50)
            assert not one.arrived()
    assert [line["reason"] for line in lines] == ["refused"] * 2
    assert len(bus.producers) == 101


def test_when_its_time_is_over_it_waits_no_more() -> None:
    one, bus, clock = courier()
    bus.producers[0].takes = False
    one.take(LETTERS, [])
    one.end_by(clock.steady_ms() + 100)
    assert not one.arrived()
    clock.passes(101)
    with pytest.raises(DeliveryError, match="has not taken 2 messages in time"):
        one.arrived()
